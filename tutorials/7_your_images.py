# %% [markdown]
# # Your own images, from a folder
#
# All that kgen wants of your images is a folder of image files. You will load one, see
# what is done to photographs on the way, be told of damaged files, train a model on the images and
# draw new ones: in Python, and the same in one command.
#
# So that this page runs anywhere it makes a folder first: patches of the two photographs that come
# with scikit-learn, a Chinese palace and a dahlia. Further down you name yours instead.

# %%
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

import kgen

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
PATCHES, SIZE, EPOCHS, CHANNELS, LATENTS = (2000, 32, 30, 32, 64) if FULL else (40, 8, 1, 4, 4)
EXAMPLE = Path("patches")
kgen.set_seed(0)

# %%
random = np.random.default_rng(0)
for name in ("china", "flower"):
    photograph = Image.fromarray(load_sample_image(f"{name}.jpg"))
    (EXAMPLE / name).mkdir(parents=True, exist_ok=True)
    for number in range(PATCHES // 2):
        left = int(random.integers(photograph.width - 96))
        top = int(random.integers(photograph.height - 64))
        patch = photograph.crop((left, top, left + 96, top + 64))
        patch.save(EXAMPLE / name / f"{number:04}.png")
print(sum(1 for _ in EXAMPLE.rglob("*.png")), "files, such as", next(EXAMPLE.rglob("*.png")))

# %% [markdown]
# ## Loading
#
# Sub-folders are labels, in natural order (2 before 10). A folder without any has none; a single
# one that holds all the images counts as none. Every format that Pillow reads will do; a warning
# says how many other files were left out.
#
# `size` brings all images to one size: they are cropped about their centre to its aspect ratio,
# then resized. Photographs are turned upright as their camera says, transparent images are put on
# white, and of 16 bits a channel the upper 8 are kept. Values of 12 bits in files of 16 come out
# nearly black, and a warning says so.

# %%
FOLDER = EXAMPLE  # or "path/to/your/pictures"
data = kgen.data.load(FOLDER, size=SIZE)
print(data.train)
print(data.test)
print("labels:", data.label_names, "- levels:", data.levels)
print("source:", data.source)
kgen.pictures.grid(data.train.limit(30).images, data.levels, columns=10)

# %% [markdown]
# Every tenth image is held out for testing. If neighbours in your folder are near-duplicates (a
# video, a burst), the model is tested on what it was trained on: sort the images into two folders,
# `train` and `test`, and kgen takes these as the splits; images in a third, `val`, are for
# validation. Patches of one photograph overlap, so the figures of this page are flattering.
#
# A folder of grey and colour images, or of some with transparency, needs `mode="rgb"` or
# `mode="gray"`; `grayscale=True` is short for the latter. Without colour there is less to learn,
# and a model trains faster:

# %%
grey = kgen.data.load(FOLDER, size=SIZE, grayscale=True)
kgen.pictures.grid(grey.train.limit(20).images, grey.levels, columns=10)

# %% [markdown]
# ## Damaged files
#
# In a large folder some file is always broken. All of them are listed at once, before any time is
# spent on training; nothing is skipped in silence. Here is a folder of three files, of which two
# end too early:

# %%
damaged = Path("damaged")
damaged.mkdir(exist_ok=True)
content = (EXAMPLE / "china" / "0000.png").read_bytes()
for name, length in (("whole", len(content)), ("half", len(content) // 2), ("empty", 0)):
    (damaged / f"{name}.png").write_bytes(content[:length])
try:
    kgen.data.load(damaged, size=SIZE)
except kgen.KgenError as error:
    print(error)

# %% [markdown]
# ## Training
#
# Colour images are like any others. A convolutional VAE takes a few minutes at most on 32x32
# pixels; `create` takes image shape and levels from the data. Choose by validation images, which
# `with_validation` keeps apart (those in `val`, else a tenth of the training images), and measure
# on test images once, at the end.

# %%
data = data.with_validation()
model = kgen.models.create(
    "vae", data, architecture="conv", base_channels=CHANNELS, latent_size=LATENTS
)
model.compile()
history = model.fit(
    data.train.images,
    epochs=EPOCHS,
    batch_size=32,
    validation_data=(data.validation.images,),
    verbose=0,
).history
losses = history["loss"][-1], history["val_loss"][-1]
print(f"training {losses[0]:.0f} nats, validation {losses[1]:.0f} nats per image")

figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
axes.plot(history["loss"], label="training")
axes.plot(history["val_loss"], label="validation")
axes.set(xlabel="epoch", ylabel="nats per image")
axes.legend()
plt.show()

# %% [markdown]
# Small sets are soon learned by heart: watch whether the validation curve turns upwards while the
# training curve still falls. Then train for fewer epochs, take a smaller model, or find more
# images.
#
# Test images, and what is left of them after the latents:

# %%
originals = data.test.limit(10).images
kgen.pictures.grid(
    np.concatenate([originals, model.reconstruct(originals)]), data.levels, columns=10
)

# %% [markdown]
# ## New images

# %%
kgen.pictures.grid(model.sample(30, seed=0, mode="median"), data.levels, columns=10)

# %% [markdown]
# Blurred, as those of a VAE are: each pixel is the middle of what it might be. A GAN draws sharper
# ones, and takes longer: `kgen.models.create("dcgan", data)`.
#
# ## What the latents know
#
# Nobody told the model which photograph a patch is from. How much of it do its latents tell? Ask
# the simplest classifier there is:

# %%
probe = kgen.probe.linear_probe(model, data.train, data.test)
print(f"{probe.accuracy:.1%} of the test patches are assigned to their photograph")

position = probe.projection[:, 0]  # along the classifier's direction
bins = np.histogram_bin_edges(position, 30)
figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
for label, name in enumerate(data.label_names):
    axes.hist(position[data.test.labels == label], bins, alpha=0.6, label=name)
axes.set(xlabel="score of the classifier", ylabel="test patches")
axes.legend()
plt.show()

# %% [markdown]
# ## Keep the model, and use it elsewhere
#
# JSON and safetensors: nothing in the files is executed when they are loaded, and any backend
# loads them.

# %%
kgen.save(model, "patches-vae")
print(sorted(path.name for path in Path("patches-vae").iterdir()))
loaded = kgen.load("patches-vae")
assert np.array_equal(loaded.sample(4, seed=1), model.sample(4, seed=1))

# %% [markdown]
# ## The same from the command line
#
# ```
# python -m kgen.fit --data patches --size 32 --model vae --epochs 30 \
#     --set architecture=conv latent_size=64
# python -m kgen.sample runs/vae-patches -n 64 --out grid.png
# python -m kgen.evaluate runs/vae-patches
# ```
#
# `--color rgb` or `--color gray` stands for `mode`. A run is kept in its folder with its pictures
# and its history, and continued with `--resume`.
