# %% [markdown]
# # PixelCNN
#
# The most direct way to a probability of images: write it as a product, one factor per pixel, each
# given the pixels before it. No bound, no game. You will see what each pixel is allowed to see,
# check that the probabilities of *all* images sum to 1, train the model, let it complete
# half-hidden digits, and sample much faster than by the obvious loop.
#
# The models are `kgen/models/autoregressive/pixelcnn.py` and `gated_pixelcnn.py`.

# %%
import inspect
import itertools
import os
import time

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import matplotlib.pyplot as plt
import numpy as np
from keras import ops

import kgen

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
DATA, IMAGES, FEATURES, BLOCKS = ("mnist", 30_000, 32, 3) if FULL else ("digits", 128, 4, 1)
kgen.set_seed(0)

data = kgen.data.load(DATA, binarize="static")
train, test = data.train.limit(IMAGES), data.test
print(train.images.shape, "levels:", data.levels)
kgen.pictures.grid(train.images[:20], data.levels, columns=10)

# %% [markdown]
# ## Masks: who sees whom
#
# Number the pixels row by row. Then, without any assumption,
#
# $$ \log p(x) = \sum_i \log p(x_i \,|\, x_1, \dots, x_{i-1}) $$
#
# A convolutional network computes all factors at once, if no path leads from a pixel to its own
# factor or to earlier ones. So its kernels are masked: rows above, and in the current row what lies
# left. The first layer (type A) leaves out the centre, the further ones (type B) may see it, for
# it knows by then only of pixels before. `kgen.layers.MaskedConv2D` does not store the taps that a
# mask would remove; put back together, its kernel of 5x5 looks like this:

# %%
figure, axes = plt.subplots(1, 2, figsize=(5, 2.5), layout="constrained")
for panel, mask_type in zip(axes, "AB", strict=True):
    layer = kgen.layers.MaskedConv2D(1, 5, mask_type)
    layer.build((None, None, None, 1))
    kernel = np.zeros((5, 5))
    above = ops.convert_to_numpy(layer.vertical.kernel)[..., 0, 0]  # (2, 5): rows above
    beside = ops.convert_to_numpy(layer.horizontal.kernel)[..., 0, 0]  # (2,) or (3,): current row
    kernel[: len(above)] = above
    kernel[2, : len(beside)] = beside
    panel.imshow(kernel != 0, cmap="Blues", vmin=0, vmax=1.3)
    panel.plot(2, 2, "rx")
    panel.set(title=f"type {mask_type}", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## The blind spot
#
# What does a pixel see after many layers? Ask the network: change one pixel of an image at a time
# and look whether the centre's factor changes. All 225 changes of a 15x15 image are one batch.


# %%
def seen_from_centre(model):
    """Which of the 15x15 pixels the parameters of the centre pixel depend on, bool (15, 15)."""
    image = np.random.default_rng(0).normal(size=(15, 15)).astype("float32")
    changed = image + np.eye(225, dtype="float32").reshape(225, 15, 15)
    batch = np.concatenate([image[None], changed])[..., None]  # the image, and every change
    embedded = model.embed()  # of no condition
    parameters = ops.convert_to_numpy(model.parameters_given(batch, embedded))[:, 7, 7]
    return (parameters[1:] != parameters[0]).any(axis=-1).reshape(15, 15)


plain = kgen.PixelCNN((15, 15, 1), levels=2, features=16, blocks=5)
gated = kgen.GatedPixelCNN((15, 15, 1), levels=2, features=16, blocks=6)
figure, axes = plt.subplots(1, 2, figsize=(6, 3), layout="constrained")
for panel, model in zip(axes, (plain, gated), strict=True):
    seen = seen_from_centre(model)
    panel.imshow(seen, cmap="Blues", vmin=0, vmax=1.3)
    panel.plot(7, 7, "rx")
    panel.set(title=type(model).__name__, xticks=[], yticks=[])
    missing = 7 * 15 + 7 - seen.sum()
    print(f"{type(model).__name__}: sees {seen.sum()} pixels, {missing} earlier ones are hidden")
    assert not seen.ravel()[7 * 15 + 7 :].any()  # neither the pixel itself nor a later one
plt.show()

# %% [markdown]
# Both keep the rule: nothing at or after the cross is seen. But the plain PixelCNN has a *blind
# spot*, a wedge on the right of the rows above: a path through its layers gets to the right only
# while it climbs. The gated PixelCNN (van den Oord et al. 2016, arXiv:1606.05328) repairs it with
# two stacks, one of which sees the rows above in full width.
#
# ## The probabilities of all images sum to 1
#
# "Exact likelihood" is a strong word; here is what it means. There are $2^6 = 64$ black and white
# images of 2x3 pixels. Even an untrained model must share out a probability of 1 among them:
#
# $$ \sum_x p(x) = 1 $$

# %%
tiny = kgen.PixelCNN((2, 3, 1), levels=2, features=4, blocks=1)
everything = np.array(list(itertools.product([0, 1], repeat=6)), "uint8").reshape(-1, 2, 3, 1)
total = np.exp(tiny.log_prob(everything)).sum()
print(f"sum over {len(everything)} images: {total:.6f}")
assert abs(total - 1) < 1e-4

# %% [markdown]
# ## Training
#
# The loss is the negative log-likelihood. The network gives a logit $a_i$ for every pixel, from
# those before it, and
#
# $$ -\log p(x) = -\sum_i \log \sigma\big((2 x_i - 1)\, a_i\big) $$

# %%
print(inspect.getsource(kgen.PixelCNN.objective))
print(inspect.getsource(kgen.PixelCNN.network))

# %%
model = kgen.models.create("pixelcnn", data, features=FEATURES, blocks=BLOCKS)
model.compile()
started = time.perf_counter()
history = model.fit(train.images, epochs=1, batch_size=64, verbose=0).history
print(f"{history['loss'][0]:.1f} nats, mean over the epoch; {time.perf_counter() - started:.0f} s")

# %%
nats = -model.log_prob(test.images[:1000])
bits = nats / np.log(2) / np.prod(data.image_shape)
error = nats.std() / np.sqrt(len(nats))
print(f"test images: {nats.mean():.1f} +- {error:.1f} nats, {bits.mean():.3f} bits per dimension")

# %% [markdown]
# Where are the nats spent? Not on the background, and not inside the strokes, but where a stroke
# could have turned. Each pixel's share is $-\log p(x_i | x_1, \dots, x_{i-1})$:

# %%
shown = test.images[:6]
logits = ops.convert_to_numpy(model.parameters_of(ops.convert_to_tensor(shown)))
shares = np.logaddexp(0, (1.0 - 2.0 * shown) * logits)  # softplus: nats of every pixel
assert np.allclose(shares.sum(axis=(1, 2, 3)), -model.log_prob(shown), rtol=1e-3)

figure, axes = plt.subplots(2, 6, figsize=(10, 3.5), layout="constrained")
for column, (image, share) in enumerate(zip(shown, shares, strict=True)):
    axes[0, column].imshow(image[..., 0], cmap="gray")
    axes[1, column].imshow(share[..., 0], cmap="inferno", vmin=0, vmax=3)
    axes[1, column].set(title=f"{share.sum():.0f} nats")
for panel in axes.flat:
    panel.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## Completion
#
# A model of every pixel given those before it can go on from any point: hide the lower half, and
# draw it. First row: test images; second: what the model is shown; then four completions of each.

# %%
originals = test.images[10:20]
mask = np.zeros(data.image_shape[:2], bool)
mask[data.image_shape[0] // 2 :] = True  # True: to be filled in
hidden = np.where(mask[..., None], 0, originals).astype("uint8")
completions = [model.complete(originals, mask, seed=seed) for seed in range(4)]
kgen.pictures.grid(np.stack([originals, hidden, *completions]), data.levels)

# %% [markdown]
# It works downwards only: known pixels *below* what is hidden do not enter.
#
# ## Sampling, and what can be kept
#
# A sample is drawn pixel by pixel,
#
# $$ x_i = 1 \;\text{ if }\; u_i < \sigma(a_i), \qquad u_i \sim U(0, 1) $$
#
# with $a_i$ from the network. The obvious loop runs the whole network for every pixel:


# %%
def plainly_sampled(model, count, seed):
    """Samples by one pass of the whole network per pixel."""
    uniform = np.random.default_rng(seed).random((count, *model.image_shape), "float32")
    images = np.zeros(uniform.shape, "uint8")
    parameters_of = kgen.backend.compiled(model, model.parameters_of)
    for row, column in itertools.product(*map(range, model.image_shape[:2])):
        logits = ops.convert_to_numpy(parameters_of(images))[:, row, column]
        images[:, row, column] = uniform[:, row, column] < 1 / (1 + np.exp(-logits))
    return images


# %% [markdown]
# But when pixel $i$ is drawn, nothing changes for the pixels before it: all that the layers made of
# them can be kept, and only one pixel's column of activations is new. `model.sample` does that, in
# one compiled loop. With equal noise both must draw the same images.

# %%
model.sample(16, seed=0)  # compiles
started = time.perf_counter()
cached = model.sample(16, seed=1)
seconds = time.perf_counter() - started
started = time.perf_counter()
plainly = plainly_sampled(model, 16, seed=1)
plain_seconds = time.perf_counter() - started
print(f"cached {seconds:.2f} s, plain loop {plain_seconds:.2f} s: {plain_seconds / seconds:.0f} x")
print(f"{np.mean(cached == plainly):.2%} of the pixels are equal")

# %%
kgen.pictures.grid(model.sample(20, seed=2), data.levels, columns=10)

# %% [markdown]
# ## Where to go next
#
# - The rest of the family, compared: `11_autoregressive.py`.
# - No blind spot, and samples given a label: `gated_pixelcnn`, with `classes=10`.
# - Grey and colour images: a softmax over all levels, colours one after the other. It is the same
#   code: `kgen.models.create("pixelcnn", kgen.data.load("mnist"))`.
# - Longer: `python -m kgen.fit --model pixelcnn --data binarized_mnist --epochs 1`.
