"""What the rows of pytorch-generative share: its loss, and how its models draw images."""


def image_loss(network):
    """The `loss_fn` of the package's training scripts, as a function of binary images."""
    from torch.nn import functional

    def loss(images):
        images = images.float()
        losses = functional.binary_cross_entropy_with_logits(
            network(images), images, reduction="none"
        )
        return losses.flatten(1).sum(1).mean()

    return loss


def trained_by_adam(network, *settings):
    """What a row's `create` returns."""
    import torch

    return network, torch.optim.Adam(network.parameters(), *settings), image_loss(network)


def drawn_by(network, image_shape):
    """What a row's `drawing` returns: the package's `sample`, which draws what is below 0."""
    import torch

    height, width, channels = image_shape
    parameters = sum(weight.numel() for weight in network.parameters())

    def draw(count):
        return network.sample(None, -torch.ones((count, channels, height, width)))

    return draw, parameters
