# %% [markdown]
# # From words to pictures
#
# A caption says what an image is to show, and a model draws it. You will train a GAN on coloured
# digits whose captions are exactly true. Then you change single words, and ask for combinations
# that no training image shows. At last you read from pixels what images show.
#
# The model is in `kgen/models/gans/text_to_image_gan.py` (Reed et al. 2016, arXiv:1605.05396), the
# text encoders are in `kgen/layers/text.py`.

# %%
import os
import time

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import keras
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import kgen
from kgen.data.placed_digits import BACKGROUNDS, COLOURS, DIGITS, PLACES, SIZES, is_held_out

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
IMAGES, EPOCHS = (8000, 30) if FULL else (64, 1)
LATENTS, CHANNELS, TEXT_SIZE = (16, 32, 64) if FULL else (2, 4, 8)
kgen.set_seed(0)

# %% [markdown]
# ## Captions
#
# `placed_digits` are handwritten digits, coloured and placed on a background. Digit, colour, size,
# place and background are drawn at random, and a caption in one of five wordings states all of
# them. Here the images have 16x16 pixels, so that the page takes minutes.

# %%
data = kgen.data.load("placed_digits", size=16).limit(IMAGES)
train, test, space = data.train, data.test, data.condition_space
print(train.x.shape, "from:", data.source)
for caption in space.decode(train.condition[:5]):
    print(caption)
kgen.pictures.grid(train.x[:20], data.levels, columns=10)

# %% [markdown]
# The vocabulary is the words of the training captions; it travels with the model. Unknown words
# become token 1, with a warning that names them.

# %%
print(len(space.words), "words and marks:", " ".join(space.words))
print(space.encode(["a small red seven in the middle on blue"])[0])
print(space.check(["a small crimson seven in the middle on blue"])[0])

# %% [markdown]
# ## Words become a vector
#
# A text encoder reads the tokens and gives one vector. There are two: a recurrent network (a GRU),
# whose mean state counts, and a small transformer (`text_encoder="transformer"`).
# Zeros behind the last word change nothing.
#
# Any conditional model of kgen takes captions in place of labels, and `create` reads from the data
# that there are captions.
#
# ## A discriminator that reads
#
# A GAN for captions has a harder question for its discriminator $D$: is this image real *and* does
# it show what the caption $t$ says? Two kinds of pairs teach it to refuse: generated images with
# their captions, and real images with the caption $t'$ of another image (GAN-CLS). With
# $s$ the sigmoid:
#
# $$ \text{loss}_D = -\log s(D(x, t)) - \tfrac{1}{2} \big[ \log(1 - s(D(x, t')))
#    + \log(1 - s(D(G(z, t), t))) \big] $$
#
# $t'$ must differ in words, or $D$ would be punished for being right. Without the pairs of $t'$,
# realistic images with any caption would pass, and words could be ignored.
#
# The generator $G$ is asked for captions halfway between two as well, $(t + t') / 2$, of which
# there are no real images: $D$'s vectors say what they mean (GAN-INT).
#
# Who teaches the text encoder? Not $G$, which could make captions that are easy to satisfy. Nor the
# right and wrong captions of $D$: three of four wrong captions name another background, so that one
# word would do, and $G$ would be deaf to the others. Instead, images and captions learn to find
# each other: among the 64 captions of a batch each image is to find its own, and each caption its
# image. Hardly any two captions of a batch agree in all five attributes, so all words count.

# %%
started = time.process_time()
gan = kgen.models.create(
    "text_to_image_gan",
    data,
    base_channels=CHANNELS,
    text_size=TEXT_SIZE,
    latent_size=LATENTS,
)
gan.compile({player: keras.optimizers.Adam(5e-4, beta_1=0.5) for player in gan.players})
history = gan.fit(train, batch_size=64, epochs=EPOCHS, verbose=0).history
print(f"{gan.count_params():,} weights, {time.process_time() - started:.0f} s of a processor core")

# %%
figure, (axes, matching) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
kinds = {"real_accuracy": "right captions", "mismatch_accuracy": "wrong captions"}
for name, label in {**kinds, "fake_accuracy": "generated images"}.items():
    axes.plot(1 + np.arange(len(history[name])), history[name], label=label)
axes.set(xlabel="epoch", ylabel="fraction that D classifies correctly", ylim=(0, 1.03))
axes.legend()
matching.plot(1 + np.arange(EPOCHS), history["matching_loss"])
matching.axhline(2 * np.log(64), linestyle=":", label="a guess")
matching.set(xlabel="epoch", ylabel="loss of matching, in nats", ylim=(0, None))
matching.legend()
plt.show()

# %% [markdown]
# By chance it would be one half. $D$ soon refuses more than nine of ten wrong captions: more than
# the three of four that name another background, so it has read other words. If the curves of right
# captions and of generated images both went to 1, $G$ would learn little; `kgen.fit` warns of that.
#
# Test images, then two draws of the GAN for the caption of each:

# %%
captions = test.condition[:10]
print("\n".join(space.decode(captions)))
rows = [gan.sample(10, captions, seed=seed) for seed in (0, 1)]
kgen.pictures.grid(np.stack([test.x[:10], *rows]), data.levels)

# %% [markdown]
# ## What the vectors know
#
# The encoder was told which image belongs to which caption, never what a word means. Captions that
# say the same in other words, and captions that differ in one word, by the angle between their
# vectors (1: the same direction):

# %%
wordings = {
    "a large red seven in the middle on blue": "the caption itself",
    "on blue , a red seven , large , in the middle": "another wording",
    "a large red six in the middle on blue": "another digit",
    "a large orange seven in the middle on blue": "another colour",
    "a small red seven in the middle on blue": "another size",
    "a large red seven in the upper left on blue": "another place",
    "a large red seven in the middle on black": "another background",
}
read = kgen.backend.compiled(gan, gan.text_of)
vectors = keras.ops.convert_to_numpy(read(space.encode(list(wordings))))
vectors -= keras.ops.convert_to_numpy(read(test.condition)).mean(axis=0)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
for label, cosine in zip(wordings.values(), vectors @ vectors[0], strict=True):
    print(f"{cosine:6.2f}  {label}")

# %% [markdown]
# Another wording is nearest, and every other word turns the vector.
#
# ## Change a word
#
# The same noise, another word: only what the word says should change. Rows: digit, colour, place,
# background.

# %%
CHOICES = {"digit": DIGITS, "colour": COLOURS, "size": SIZES, "place": PLACES}
CHOICES["background"] = BACKGROUNDS
plain = {"digit": "three", "colour": "white", "size": "large", "place": "middle"}
plain["background"] = "blue"


def caption_of(**said):
    said = plain | said
    return "a {size} {colour} {digit} in the {place} on {background}".format(**said)


rows = []
for name in ("digit", "colour", "place", "background"):
    asked = [caption_of(**{name: value}) for value in np.resize(list(CHOICES[name]), 10)]
    noise = np.repeat(np.random.default_rng(1).standard_normal((1, LATENTS), "float32"), 10, 0)
    rows.append(gan.decode(noise, space.encode(asked)))
kgen.pictures.grid(np.stack(rows), data.levels)

# %% [markdown]
# ## Read it back
#
# Does an image show what was asked? For these images it can be measured: the background is the
# median colour; the ink is what is farthest from it, its colour told by the direction from the
# background; size and place follow from the box around the ink; the digit is that of the most
# similar of the training images' digits, cut out. `benchmarks/studies/captions.py` does the same
# for images of 32x32 and 64x64, with a classifier.


# %%
def said(texts):
    """{attribute: which of its values each text names, (n,)}."""
    return {
        name: np.array([[f" {v} " in f" {t} " for v in values].index(True) for t in texts])
        for name, values in CHOICES.items()
    }


def ink_of(images):
    """(median colours (n, 3), how far each pixel is from them, as part of the farthest)."""
    grounds = np.median(images, axis=(1, 2))
    away = np.linalg.norm(images - grounds[:, None, None], axis=-1)
    return grounds, away / np.maximum(away.max(axis=(1, 2), keepdims=True), 1.0)


def boxes_of(ink):
    """Top, bottom, left and right of the ink of images, (n, 4)."""
    found = []
    for image in ink > 0.35:
        for axis in (1, 0):
            places = np.flatnonzero(image.any(axis=axis))
            found += [places[0], places[-1] + 1] if len(places) else [0, len(image)]
    return np.array(found).reshape(-1, 4)


def cut_out(ink, boxes):
    """The ink of images within its box, 8x8 pixels, as rows."""
    parts = [image[t:b, left:r] for image, (t, b, left, r) in zip(ink, boxes, strict=True)]
    pictures = [Image.fromarray(np.uint8(255 * part)).resize((8, 8), 2) for part in parts]
    return np.stack([np.asarray(picture).ravel() / 255 for picture in pictures])


def nearest(values, table):
    return ((values[:, None] - np.array(list(table), "float64")) ** 2).sum(axis=-1).argmin(axis=1)


def shown(images):
    """{attribute: which of its values each image shows, (n,)}."""
    images = images.astype("float64")
    (grounds, ink), scale = ink_of(images), images.shape[1] / 32
    inks = np.stack(
        [image[part >= 0.9 * part.max()].mean(0) for image, part in zip(images, ink, strict=True)]
    )
    ways = np.array(list(COLOURS.values())) - grounds[:, None]  # (n, 5, 3)
    angles = (ways * (inks - grounds)[:, None]).sum(-1) / np.linalg.norm(ways, axis=-1)
    boxes = boxes_of(ink)
    similar = cut_out(ink, boxes) @ KNOWN.T - 0.5 * (KNOWN**2).sum(axis=1)
    return {
        "digit": KNOWN_DIGITS[similar.argmax(axis=1)],
        "colour": angles.argmax(axis=1),
        "size": nearest((boxes[:, 1::2] - boxes[:, ::2]).max(1)[:, None], scaled(SIZES, scale)),
        "place": nearest((boxes[:, ::2] + boxes[:, 1::2]) / 2, scaled(PLACES, scale)),
        "background": nearest(grounds, BACKGROUNDS.values()),
    }


def scaled(table, scale):
    return scale * np.array(list(table.values()), "float64").reshape(len(table), -1)


_, ink = ink_of(train.x.astype("float64"))
KNOWN = cut_out(ink, boxes_of(ink))
KNOWN_DIGITS = said(space.decode(train.condition))["digit"]

# %% [markdown]
# One pair in five of digit and colour is in no training image: no model has ever seen a white four.
# Test captions ask for all pairs equally often, so the columns can be counted for pairs that have
# been seen, and for new ones. Real test images come first: they show how well the reading works.

# %%
asked = said(space.decode(test.condition))
new = is_held_out(asked["digit"], asked["colour"])
assert not is_held_out(*(said(space.decode(train.condition))[n] for n in ("digit", "colour"))).any()
images = {"real images": test.x, "GAN": gan.sample(len(test), test.condition, seed=0)}
print(f"{'as asked':<18}", *(f"{name:>10}" for name in CHOICES), f"{'all five':>10}")
print(f"{'by chance':<18}", *(f"{1 / len(values):>10.0%}" for values in CHOICES.values()))
for name, found in zip(images, map(shown, images.values()), strict=True):
    right = np.stack([found[part] == asked[part] for part in CHOICES])  # (5, n)
    right = np.concatenate([right, right.all(axis=0, keepdims=True)])
    for which, rows in (("seen", ~new), ("new", new)):
        shares = right[:, rows].mean(axis=1)
        print(f"{name + ', ' + which:<18}", *(f"{share:>10.0%}" for share in shares))

# %% [markdown]
# The GAN shows background and place as asked, and nearly always colour and size, for new pairs
# nearly as often as for seen ones: it has learnt what the words mean, one by one. In pictures so
# small, after so few, its digits are still blots. New pairs, pictured:

# %%
unseen = [caption_of(digit=digit, colour=list(COLOURS)[i % 5]) for i, digit in enumerate(DIGITS)]
kgen.pictures.grid(gan.sample(10, unseen, seed=2), data.levels, columns=10)

# %% [markdown]
# ## Where to go next
#
# - Longer and larger: `python -m kgen.fit --model text_to_image_gan --data placed_digits`, then
#   `python -m kgen.sample RUN --condition "a small red seven in the middle on blue"`, and
#   `python -m benchmarks.studies.captions RUN`.
# - In two stages, 64x64: `stackgan`. By diffusion, with guidance: `edm` takes the same captions.
# - Your own: a folder of images with a table `captions.csv`, see `7_your_images.py`.
# - Words as what is modelled: `15_sentences.py`.
