# %% [markdown]
# # Orderings, masks, attention
#
# Any probability of images is a product of one factor per pixel, each given the pixels before it. A
# model of this kind, an *autoregressive* model, has two parts to choose: the order of the pixels,
# and the network that computes the factors without looking ahead. You will compare six networks,
# from logistic regression of 1998 to self-attention, by what each pixel sees and by their exact
# likelihoods on the same digits.
#
# The models are in `kgen/models/autoregressive/`. `4_pixelcnn.py` looks at one of them closely.

# %%
import os
import time

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops

import kgen

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
EPOCHS, IMAGES, SIDE = (60, 1200, 15) if FULL else (1, 64, 9)
FAMILY = {
    "fvsbn": {},
    "nade": {"hidden": 200 if FULL else 4},
    "made": {"hidden": (400,) if FULL else (16,), "masks": 8 if FULL else 2},
    "pixelcnn": {"features": 32, "blocks": 2} if FULL else {"features": 4, "blocks": 1},
    "pixelrnn": {"features": 32, "blocks": 2} if FULL else {"features": 4, "blocks": 1},
    "image_transformer": {"features": 32 if FULL else 4, "blocks": 2 if FULL else 1, "classes": 0},
}
kgen.set_seed(0)

data = kgen.data.load("digits", binarize="static")  # 8x8 pixels, black or white
train, held_out = data.train.images[:IMAGES], data.train.images[IMAGES:][:IMAGES]
test = data.test.images
print(len(train), "images to train,", len(held_out), "to know when to stop,", len(test), "to test")
kgen.pictures.grid(train[:20], data.levels, columns=10)

# %% [markdown]
# ## An order
#
# Number the pixels in any order you like. Without any assumption,
#
# $$ \log p(x) = \sum_i \log p(x_i \,|\, x_1, \dots, x_{i-1}) $$
#
# Most models take *raster order*: row by row, from left to right. What a network must not do is to
# let a factor see its own pixel or a later one. Whether it keeps this rule can be tested: change
# one pixel after the other and look which factors change. The result is a table of 64x64 entries, a
# row for each factor and a column for each pixel that may change it.


# %%
def seen_by_factors(parameters_of, image):
    """Which pixels change which factors, bool (factors, pixels)."""
    flips = np.eye(image.size, dtype="uint8").reshape(-1, *image.shape)
    batch = np.concatenate([image[None], image ^ flips])  # the image, and every change of it
    parameters = ops.convert_to_numpy(parameters_of(batch)).reshape(len(batch), -1)
    return (np.abs(parameters[1:] - parameters[0]) > 1e-6).T


def untrained(name, **settings):
    """A model with random weights that are large enough to see their effect."""
    model = kgen.models.create(name, data, **FAMILY[name] | settings)
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(0.3 * generator.standard_normal(variable.shape))
    return model


made = untrained("made")
names = {0: "raster order", 1: "a random order", "sorted": "the same, pixels in this order"}
tables = {
    number: seen_by_factors(
        lambda images, number=number: made.parameters_of(images, mask_number=number), test[0]
    )
    for number in (0, 1)
}
order = made.orders[1]
tables["sorted"] = tables[1][order][:, order]

figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for panel, (key, table) in zip(axes, tables.items(), strict=True):
    panel.imshow(table, cmap="Blues", vmin=0, vmax=1.3)
    panel.set(title=names[key], xlabel="pixel", ylabel="factor")
plt.show()
for key in (0, "sorted"):
    assert not np.triu(tables[key]).any()  # neither its own pixel nor a later one

# %% [markdown]
# Both tables are of one network, a MADE, with two different sets of masks. In its own order each is
# a triangle without its diagonal: that is the whole rule.
#
# ## Masks
#
# The simplest model with a triangle *is* a triangle of weights. In the FVSBN (Frey 1998), each
# factor is a logistic regression on the pixels before it:
#
# $$ p(x_i = 1 \,|\, x_1, \dots, x_{i-1}) = \sigma\Big(b_i + \sum_{j < i} w_{ij} x_j\Big) $$
#
# NADE (Larochelle & Murray 2011) gives each factor a hidden layer. The layers share their weights,
# so that from one pixel to the next only one column is added:
#
# $$ h_i = \sigma(c + W_{<i} \, x_{<i}), \qquad
#    p(x_i = 1 \,|\, x_1, \dots, x_{i-1}) = \sigma(b_i + V_i h_i) $$
#
# MADE (Germain et al. 2015) is an ordinary dense network with *masked* weights. A hidden unit gets
# a random number, its degree: it sees the pixels up to this number, and only factors of later
# pixels see the unit. Here are the masks of a small one with 2x3 pixels; blue connections are kept.

# %%
small = kgen.MADE((2, 3, 1), levels=2, hidden=(8,))
figure, axes = plt.subplots(1, 3, figsize=(8, 2.6), layout="constrained")
masks = [
    ops.convert_to_numpy(layer.masked_kernel()) != 0
    for layer in (small.hidden_layers[0], small.output_layer)
]
paths = masks[0].astype(int) @ masks[1].astype(int)  # from pixel to factor
titles = ("pixels to hidden units", "hidden units to factors", "number of paths")
for panel, table, title in zip(axes, (*masks, paths), titles, strict=True):
    panel.imshow(table, cmap="Blues", vmin=0, vmax=max(1.3, table.max()))
    panel.set(title=title)
plt.show()
assert not np.tril(paths).any()

# %% [markdown]
# Masks cost nothing, so there may be several of them, each with an order of its own. They are an
# ensemble: the probability of an image is the mean over its masks.
#
# ## Convolutions and recurrence
#
# Dense layers know nothing of rows and columns. A PixelCNN (van den Oord et al. 2016) is a stack of
# masked convolutions. A PixelRNN, of the same paper, carries the state of an LSTM through the
# image. Its Row LSTM goes from row to row, where each state sees three states above it. Its
# Diagonal BiLSTM goes from diagonal to diagonal, from the left and from the right.
#
# What does the factor of the pixel at the red cross see?


# %%
def seen_from_centre(model):
    """Which pixels the centre's factor depends on, by its gradient; bool (SIDE, SIDE)."""

    def factor(x):
        return model.parameters_given(x, model.embed())[:, SIDE // 2, SIDE // 2]

    x = np.random.default_rng(0).standard_normal((1, SIDE, SIDE, 1), "float32")
    gradient = kgen.backend.compiled(model, lambda x: kgen.backend.input_gradient(model, factor, x))
    return ops.convert_to_numpy(gradient(x))[0, ..., 0] != 0


shown = {
    "PixelCNN": untrained("pixelcnn", image_shape=(SIDE, SIDE, 1)),
    "Gated PixelCNN": kgen.GatedPixelCNN((SIDE, SIDE, 1), levels=2, features=8, blocks=3),
    "Row LSTM": untrained("pixelrnn", image_shape=(SIDE, SIDE, 1), layer="row"),
    "Diagonal BiLSTM": untrained("pixelrnn", image_shape=(SIDE, SIDE, 1)),
}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
for panel, (title, model) in zip(axes, shown.items(), strict=True):
    seen = seen_from_centre(model)
    panel.imshow(seen, cmap="Blues", vmin=0, vmax=1.3)
    panel.plot(SIDE // 2, SIDE // 2, "rx")
    panel.set(title=title, xticks=[], yticks=[])
    centre = SIDE // 2 * (SIDE + 1)
    assert not seen.ravel()[centre:].any()
    print(f"{title}: sees {seen.sum()} of {centre} earlier pixels")
assert seen.sum() == centre  # of the Diagonal BiLSTM: all of them
plt.show()

# %% [markdown]
# A convolution sees as far as its kernels reach. The Row LSTM sees a triangle that widens upwards.
# The Diagonal BiLSTM sees everything. The pass from the right needs care: a state to the right of a
# pixel is in its future, so these states are shifted down by one row before they are added.
#
# A recurrence is slow to train, as each step waits for the one before: `pixel_lstm.py` skews the
# image, row $i$ by $i$ pixels, so that a diagonal becomes a column and one step computes all of it.

# %%
from kgen.models.autoregressive.pixel_lstm import skew

numbers = np.arange(1, 17, dtype="float32").reshape(1, 4, 4, 1)
print(ops.convert_to_numpy(skew(ops.convert_to_tensor(numbers)))[0, ..., 0].astype(int))

# %% [markdown]
# ## Attention
#
# An image transformer (Parmar et al. 2018, Chen et al. 2020) makes each pixel a *token* and lets
# every token look back at all tokens before it. The masks are gone from the weights: there is one
# mask, a triangle on the table of attention itself,
#
# $$ \text{attention} = \text{softmax}\big( Q K^T / \sqrt{d} + \text{mask} \big) \, V, \qquad
#    \text{mask}_{ij} = -\infty \;\text{ for } j > i $$
#
# Token $i$ may see itself; so the sequence is shifted by one, with a start token at its beginning,
# and token $i$ knows the pixels up to $x_{i-1}$. Distance costs nothing: the first pixel is as near
# as the last one. The price is a table of $n^2$ entries for $n$ pixels.
#
# ## Training the family
#
# All maximise the same thing, the exact log-likelihood, so all are trained by the same lines. Few
# images are enough to be learned by heart: training stops when the held-out images no longer gain,
# and the best weights are kept.


# %%
def trained(name):
    """A model of the family and the seconds that training it took."""
    model = kgen.models.create(name, data, **FAMILY[name])
    model.compile(keras.optimizers.Adam(3e-3, global_clipnorm=1.0))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=4, restore_best_weights=True)
    started = time.perf_counter()
    model.fit(
        train,
        epochs=EPOCHS,
        batch_size=32,
        validation_data=held_out,
        callbacks=[stop],
        verbose=0,
    )
    return model, time.perf_counter() - started


models, results = {}, {}
for name in FAMILY:
    models[name], seconds = trained(name)
    results[name] = {"training s": seconds, "weights": models[name].count_params()}
    print(f"{name}: {seconds:.0f} s")

# %% [markdown]
# ## The family on one page
#
# The likelihood is exact, so that the figures can be compared across models, and with those of any
# other model that has one: nats per test image, lower is better. For scale: a coin for each pixel
# needs $64 \ln 2 = 44.4$ nats, and independent pixels with the right frequencies are the next line.

# %%
frequencies = np.clip(train.mean(axis=0), 1e-3, 1 - 1e-3)
independent = -np.log(np.where(test == 1, frequencies, 1 - frequencies)).sum(axis=(1, 2, 3))
print(f"{'independent pixels':<20} {independent.mean():6.2f} nats")
for name, model in models.items():
    nats = -model.log_prob(test)
    model.sample(16, seed=0)  # compiles
    started = time.perf_counter()
    model.sample(16, seed=1)
    results[name] |= {
        "nats": nats.mean(),
        "error": nats.std() / np.sqrt(len(nats)),
        "sampling ms": 1000 * (time.perf_counter() - started),
    }
    result = results[name]
    print(
        f"{name:<20} {result['nats']:6.2f} +- {result['error']:.2f} nats, "
        f"{result['weights']:>7,} weights, {result['training s']:4.0f} s of training, "
        f"{result['sampling ms']:4.0f} ms for 16 samples"
    )

# %%
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
places = np.arange(len(results))
nats, errors = ([result[key] for result in results.values()] for key in ("nats", "error"))
axes.barh(places, nats, xerr=errors, color="steelblue")
axes.axvline(independent.mean(), color="grey", linestyle=":")
axes.set(yticks=places, yticklabels=list(results), xlabel="nats per test image (lower is better)")
axes.set_xlim(0.8 * min(nats), 1.05 * max([*nats, independent.mean()]))
axes.invert_yaxis()
plt.show()

# %% [markdown]
# The differences between two models are more certain than the bars suggest: both are scored on the
# same images. On a thousand small digits the ranking is one of small data. On MNIST, with fifty
# times as many images, recurrence and attention gain most (see the records in the documentation).
#
# What has each model found out? Flip one pixel and measure by how much the logit of the pixel at
# the red cross changes, in the mean over test images:


# %%
def influence(model, images, row=4, column=4):
    """Mean change of a pixel's logit if another one is flipped, (8, 8)."""
    parameters_of = kgen.backend.compiled(model, model.parameters_of)
    flips = np.eye(images[0].size, dtype="uint8").reshape(-1, 1, *images.shape[1:])
    flipped = (images ^ flips).reshape(-1, *images.shape[1:])  # (64 * n, 8, 8, 1)
    before, after = (
        ops.convert_to_numpy(parameters_of(batch))[:, row, column, 0] for batch in (images, flipped)
    )
    changes = np.abs(after.reshape(-1, len(images)) - before)
    return changes.mean(axis=1).reshape(images.shape[1:3])


figure, axes = plt.subplots(1, len(models), figsize=(12, 2.4), layout="constrained")
for panel, (name, model) in zip(axes, models.items(), strict=True):
    panel.imshow(influence(model, test[:20]), cmap="inferno")
    panel.plot(4, 4, "rx")
    panel.set(title=name, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Neighbours count most; in MADE, which has been trained with eight orders, others count as much.
#
# ## Samples
#
# Pixel by pixel, in the model's order. Each model keeps what it has computed of earlier pixels, so
# that an image costs about as much work as one pass through the network. A row for each model:

# %%
rows = [model.sample(12, seed=2) for model in models.values()]
kgen.pictures.grid(np.stack(rows), data.levels)

# %% [markdown]
# ## Completion, and why the order matters
#
# Every model here fills in a hidden lower half: the known pixels come first in raster order. For a
# hidden *upper* half, known pixels come last, and a model in raster order draws without looking at
# them. MADE has been trained with several orders: for a completion it takes one with the known
# pixels first. Rows: test images, what the models are shown, MADE, PixelRNN.

# %%
originals = test[:12]
mask = np.zeros(data.image_shape[:2], bool)
mask[: data.image_shape[0] // 2] = True  # True: to be filled in
hidden = np.where(mask[..., None], 0, originals).astype("uint8")
completions = [models[name].complete(originals, mask, seed=0) for name in ("made", "pixelrnn")]
kgen.pictures.grid(np.stack([originals, hidden, *completions]), data.levels)

# %%
for name, images in zip(("made", "pixelrnn"), completions, strict=True):
    print(f"{name}: {np.mean(images[:, mask] == originals[:, mask]):.0%} of the hidden pixels")

# %% [markdown]
# ## Where to go next
#
# - Close up: `4_pixelcnn.py`, with the blind spot, the sum over all images, and cached sampling.
# - Given a label or a caption: `gated_pixelcnn` and `image_transformer`, with `classes=10`.
# - MNIST: `python -m kgen.fit --model made --data binarized_mnist --patience 5`, or any other name.
# - Another use of masks: `iaf_vae`, a VAE whose posterior is an autoregressive flow.
