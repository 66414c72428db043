"""The Glow of normflows: two scales of 8 steps, hidden layers of 48 channels."""

PACKAGE = "normflows"
MODEL, LEVELS, SETTINGS = "glow", 256, {"scales": 2}
SCALES, DEPTH, HIDDEN = 2, 8, 48


def create(image_shape):
    import normflows as nf
    import torch

    height, width, channels = image_shape
    bases, merges, flows = [], [], []
    for scale in reversed(range(SCALES)):  # the last scale of the image comes first
        squeezed = channels * 2 ** (scale + 2)
        last = scale == SCALES - 1
        steps = [nf.flows.GlowBlock(squeezed, HIDDEN) for _ in range(DEPTH)]
        flows.append([*steps, nf.flows.Squeeze()])
        side = 2 ** (scale + 1)
        shape = (squeezed if last else squeezed // 2, height // side, width // side)
        bases.append(nf.distributions.DiagGaussian(shape))
        if not last:
            merges.append(nf.flows.Merge())
    logit = nf.transforms.Logit(0.05)
    network = nf.MultiscaleFlow(bases, flows, merges, logit, class_cond=False)
    optimizer = torch.optim.Adamax(network.parameters(), 1e-3, weight_decay=1e-5)

    def loss(images):
        noise = torch.rand(images.shape)
        return network.forward_kld((images + noise) / LEVELS)

    return network, optimizer, loss
