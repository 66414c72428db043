# %% [markdown]
# # Editing images
#
# So far models have drawn images out of nothing. Here they change images that exist: edges become
# clothes, a 3 becomes a 7 in the same handwriting, a digit gets other codes. You will train a
# pix2pix with and without its discriminator, a Fader network with and without its critic, and an
# InfoGAN, which finds classes without being told any.
#
# The models are `pix2pix.py` and `infogan.py` in `kgen/models/gans/`, and `fader.py` in
# `kgen/models/autoencoders/`. `3_gans.py` explains the game of generator and discriminator.

# %%
import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import keras
import matplotlib.pyplot as plt
import numpy as np

import kgen
from kgen.models.gans.codes import latents_of

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
PAIRED, PAIRS, CHANNELS, PAIR_EPOCHS = (
    ("fashion_mnist", 1000, 16, 8) if FULL else ("digits", 32, 4, 1)
)
FADER_EPOCHS, RAMP, WIDTH = (50, 500, 32) if FULL else (1, 10, 4)
DATA, SIZE, IMAGES, INFO_EPOCHS, INFO_CHANNELS = (
    ("mnist", 16, 16_000, 6, 16) if FULL else ("digits", 8, 128, 1, 4)
)
kgen.set_seed(0)

pairs = kgen.data.load(f"{PAIRED}:edges").limit(PAIRS)
print(pairs.train)

# %% [markdown]
# ## Pairs
#
# A pair is a *source* and a *target*, two images of one size. `:edges` computes the source from the
# image itself: the fifth of its pixels where brightness changes most. (`:gray`, `:small` and
# `:hidden` are other tasks; your own pairs are two arrays.) In kgen's words the target is the image
# $x$, the source its condition.

# %%
targets, sources = pairs.test.x[:12], pairs.test.condition[:12]


def visible(sources):
    """Sources in the levels of the targets."""
    return pairs.condition_space.converted(sources, pairs.space)


kgen.pictures.grid(np.stack([visible(sources), targets]), pairs.levels)

# %% [markdown]
# ## pix2pix
#
# Isola et al. 2016 (arXiv:1611.07004). A U-Net $G$ maps the source $a$ to an image $G(a)$, and is
# asked for two things:
#
# $$ L_G = 100 \, E\big[|b - G(a)|\big] + E\big[-\log \sigma(D(a, G(a)))\big] $$
#
# The first term, the mean absolute difference to the target $b$, has a known answer: the *median*
# of all targets that fit the source. Where grey and white are equally likely, the median is neither
# a fabric of one kind nor of the other, but smooth. The second term is a discriminator's. It sees
# the source, too, and gives a logit for each *patch* of 16x16 pixels: smooth patches are found out.

# %%
print(inspect.getsource(kgen.Pix2Pix.generator_loss))


# %%
def translator(adversarial_weight):
    """A pix2pix; with weight 0 a U-Net that is trained by the mean absolute difference alone."""
    kgen.set_seed(0)
    settings = {"base_channels": CHANNELS, "patch": 16, "adversarial_weight": adversarial_weight}
    model = kgen.models.create("pix2pix", pairs, **settings)
    model.compile()
    given = pairs.train.x, pairs.train.condition
    history = model.fit(*given, epochs=PAIR_EPOCHS, batch_size=16, verbose=0).history
    print(f"L1 {history['l1'][-1]:.3f} on training pairs")
    return model


regression, pix2pix = translator(0.0), translator(10.0)  # 1 in the paper's long training
rows = [visible(sources), *[m.sample(condition=sources) for m in (regression, pix2pix)], targets]
kgen.pictures.grid(np.stack(rows), pairs.levels)

# %% [markdown]
# From above: sources, the U-Net alone, pix2pix, targets. None of them were trained on. How much do
# neighbouring pixels differ, compared with those of the targets?


# %%
def contrast(images):
    """Mean difference of a pixel and its right neighbour, in levels."""
    return np.abs(np.diff(images.astype("float32"), axis=2)).mean()


held_out = pairs.test.limit(400)
for name, model in (("U-Net alone", regression), ("pix2pix", pix2pix)):
    images = model.sample(condition=held_out.condition)
    figures = kgen.metrics.pair_figures(images, held_out.x, pairs.levels)
    shown = ", ".join(f"{key} {value:.3f}" for key, value in figures.items())
    print(f"{name:12} {shown}, contrast {contrast(images) / contrast(held_out.x):.2f}")

# %% [markdown]
# Both find shape and brightness. The discriminator, whose loss counts ten times in so few steps,
# brings contrast at the same L1, but as a checkerboard, not yet as fabric. In the records, after
# 5,600 steps with weight 1, pix2pix has the smaller Frechet distance, 15.5 against 17.8.
#
# ## Edit the source
#
# A source is black and white, so anybody can change one. Below, the upper half of one image's edges
# is put over the lower half of another's.

# %%
mixed, half = sources.copy(), sources.shape[1] // 2
mixed[:, half:] = np.roll(sources, 1, axis=0)[:, half:]
kgen.pictures.grid(np.stack([visible(mixed), pix2pix.sample(condition=mixed)]), pairs.levels)

# %% [markdown]
# ## Fader networks
#
# What if there are no pairs? Nobody wrote this 3 as a 7. Lample et al. 2017 (arXiv:1706.00409)
# give the class $y$ to the *decoder* of an autoencoder, and take it away from the *code*: a critic
# guesses the class from the code, and the encoder is trained so that the critic guesses another
# class $y'$.
#
# $$ L = E\big[|D(E(x), y) - x|^2\big] + w \, E\big[-\log P(y' \,|\, E(x))\big] $$
#
# A decoder that finds no class in the code must use the one it is given. So it can be given another
# one: `translate(images, classes)`.

# %%
print(inspect.getsource(kgen.Fader.autoencoder_loss))

# %%
digits = kgen.data.load("digits")  # 8x8 pixels
train, test = digits.train, digits.test


def fader(adversarial_weight):
    """A Fader network; with weight 0 an autoencoder whose decoder is told the class."""
    kgen.set_seed(0)
    sizes = {"halvings": 3, "base_channels": WIDTH, "latent_channels": 16}  # 8x8 pixels become 1x1
    settings = {"adversarial_weight": adversarial_weight, "ramp_steps": RAMP}
    settings["critic_units"] = (128, 128)
    model = kgen.models.create("fader", digits, **sizes, **settings)
    model.compile()
    history = model.fit(train.images, train.labels, epochs=FADER_EPOCHS, batch_size=64, verbose=0)
    guessed = history.history["critic_accuracy"][-1]
    print(f"weight {adversarial_weight}: the critic is right about {guessed:.0%} of the classes")
    return model


faders = {weight: fader(weight) for weight in (0.0, 0.3)}

# %% [markdown]
# Every row is a test image, left, and its translations to the classes 0 to 9. First without the
# critic, then with it.


# %%
def to_every_class(model, images):
    """Translations, (n, 10, height, width, channels)."""
    asked = np.tile(np.arange(10, dtype="int32"), len(images))
    return model.translate(np.repeat(images, 10, axis=0), asked).reshape(-1, 10, *images.shape[1:])


def with_originals(model, images):
    return np.concatenate([images[:, None], to_every_class(model, images)], axis=1)


kgen.pictures.grid(with_originals(faders[0.0], test.images[:6]), digits.levels)

# %%
kgen.pictures.grid(with_originals(faders[0.3], test.images[:6]), digits.levels)

# %% [markdown]
# Three figures say whether it has worked, each measured on test images:
#
# - *asked*: how often a classifier that comes with kgen sees the class that was asked for, if it is
#   not the image's own;
# - *probe*: how often a linear classifier reads the image's class off the code (chance: 10 %);
# - *error*: the mean squared error of reconstructions with the own class, in levels squared.

# %%
judge = kgen.encoders.for_data(digits)
images, labels = test.images[:200], test.labels[:200]
for weight, model in faders.items():
    translated = to_every_class(model, images)
    seen = judge.probabilities(translated.reshape(-1, *digits.image_shape)).argmax(axis=1)
    right = seen.reshape(-1, 10) == np.arange(10)
    asked = right[labels[:, None] != np.arange(10)].mean()
    probe = kgen.probe.linear_probe(model, train, test).accuracy
    difference = model.reconstruct(images, labels) - images.astype("float32")
    print(f"weight {weight}: asked {asked:.0%}, probe {probe:.0%}, ", end="")
    print(f"error {np.mean(difference**2):.2f}")

# %% [markdown]
# Without the critic the decoder does not listen. The code has all it needs, and the class that is
# asked for is seen in one translation of seven. With the critic it is seen in nearly all, and
# narrow digits stay narrow. The price is a larger error.
#
# Has the class left the code? The *probe* is a new classifier, which the encoder has never met. It
# reads about one class in five, and by chance one in ten. This takes an encoder that sees the whole
# digit before it decides what to hide. To try: `halvings=2`. Its code has four parts, and each sees
# a piece of the digit.
#
# ## Sliding
#
# The decoder is given the class as ten numbers, of which one is 1. They need not be whole: slide
# from a class to another one.

# %%
model = faders[0.3]
compiled = kgen.backend.compiled(
    model, lambda codes, given: model.to_levels(model.decoder([codes, given], training=False))
)
ways = []
for image, label in zip(test.images[:5], test.labels[:5], strict=True):
    steps = np.linspace(0, 1, 9, dtype="float32")[:, None]
    ends = np.eye(10, dtype="float32")[[label, (label + 5) % 10]]
    given = (1 - steps) * ends[0] + steps * ends[1]
    codes = np.repeat(model.encode(image[None]), len(given), axis=0)
    ways.append(keras.ops.convert_to_numpy(compiled(codes, given)))
kgen.pictures.grid(np.stack(ways), digits.levels)

# %% [markdown]
# ## InfoGAN: codes that nobody named
#
# Both models above were told what to look for. InfoGAN (Chen et al. 2016, arXiv:1606.03657) is
# given images and nothing else. Beside noise its generator gets *codes* $c$, here a category of ten
# and a number in $[-1, 1]$. A recogniser $Q$, a second head on the discriminator, guesses them from
# the image, and both players are paid for its success: a lower bound of the mutual information,
#
# $$ I(c; G(z, c)) \ge E\big[\log Q(c \,|\, G(z, c))\big] + H(c) $$
#
# For ten categories it is at most $\ln 10 = 2.303$ nats: then $Q$ is always certain, and right.

# %%
kgen.set_seed(0)
data = kgen.data.load(DATA, size=SIZE).limit(IMAGES)  # small images, to be through in minutes
infogan = kgen.models.create("infogan", data, base_channels=INFO_CHANNELS, numbers=1)
infogan.compile()
history = infogan.fit(data.train.images, epochs=INFO_EPOCHS, batch_size=64, verbose=0).history

figure, axes = plt.subplots(figsize=(5, 2.6), layout="constrained")
axes.plot(history["category_information"], label="category")
axes.plot(history["number_information"], label="number")
axes.axhline(np.log(10), color="grey", linestyle=":", label="ln 10")
axes.set(xlabel="epoch", ylabel="information in nats")
axes.legend()
plt.show()

# %% [markdown]
# The category's information is nearly all there is after two epochs. `pictures()` draws traversals.
# First one column for each category; rows differ in the noise.

# %%
pictures = infogan.pictures()  # brightness in [0, 1]


def as_levels(brightness):
    return np.round(brightness * (data.levels - 1)).astype("uint8")


kgen.pictures.grid(as_levels(pictures["categories"]), data.levels)

# %% [markdown]
# And the number, which changes slant and shape: from -0.99, left, to 0.99; a row for each category.

# %%
kgen.pictures.grid(as_levels(pictures["number_1"]), data.levels)

# %% [markdown]
# ## Clustering
#
# $Q$ works on real images, too: `encode` gives each the probabilities of its category, which sorts
# images that were never labelled into ten heaps. Test images, a row for each heap:

# %%
found = infogan.encode(data.test.images)
heaps = found["category"].argmax(axis=1)
blank = np.zeros((12, *data.image_shape), "uint8")
rows = [np.concatenate([data.test.images[heaps == heap], blank])[:12] for heap in range(10)]
kgen.pictures.grid(np.stack(rows), data.levels)

# %%
scores = kgen.metrics.cluster_scores(heaps, data.test.labels)
print(f"accuracy {scores.accuracy:.0%} by the best matching, mutual information {scores.nmi:.2f}")

# %% [markdown]
# Labels were used for these figures only; the second is normalised to 0..1. Some heaps are one
# digit, others mix several. Full information says that categories can be told apart, not that they
# are what you had in mind. Ten images have it, too: an InfoGAN of the 8x8 digits above, in as many
# steps, drew one image for each category.
#
# ## Edit the codes
#
# An image can be rebuilt from its codes: not this image, as the noise is not encoded, but one with
# the same category and number. Rows: test images; rebuilt; the number set to -0.9, and to 0.9.

# %%
originals, given = data.test.images[:12], {name: part[:12] for name, part in found.items()}
rows = [originals, infogan.reconstruct(originals)]
for number in (-0.9, 0.9):
    codes = latents_of(given["category"], np.full((12, 1), number), infogan.latent_size)
    rows.append(infogan.decode(codes))
kgen.pictures.grid(np.stack(rows), data.levels)

# %% [markdown]
# ## Where to go next
#
# - Photographs from grey to colour: `python -m kgen.fit --model pix2pix --data cifar10:gray`.
# - Several attributes at once: `kgen.data.load("placed_digits:attributes")` and
#   `kgen.models.create("fader", data)`; then `model.translate(images, attributes)`.
# - `python -m kgen.fit --model infogan --data mnist --epochs 10`, whose categories are cleaner.
