# %% [markdown]
# # Evaluating and comparing
#
# Which of two models is better? Pictures do not settle it, and losses of different families have
# different units. You will measure likelihood where there is one, and samples where there is none:
# Frechet distance (FID), precision and recall, and whether a model repeats its training images. You
# will see how every single number can be fooled, and meet a model that finds strangers more
# probable than its own kind.
#
# The functions are in `kgen/metrics/` and `kgen/evaluation/`; on the command line,
# `python -m kgen.evaluate RUN ...` does it all.

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import matplotlib.pyplot as plt
import numpy as np

import kgen

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
DATA, STRANGERS, SIZE, IMAGES = (
    ("fashion_mnist", "mnist", 16, 10_000) if FULL else ("digits", "digits", 8, 80)
)
VAE_EPOCHS, GAN_EPOCHS, COMPARED = (12, 6, 2000) if FULL else (1, 1, 80)
kgen.set_seed(0)

data = kgen.data.load(DATA, size=SIZE).limit(IMAGES)  # small images, to be through in minutes
print(data.train, data.test, data.label_names)
kgen.pictures.grid(data.test.images[:20], data.levels, columns=10)

# %% [markdown]
# ## Two models to compare

# %%
vae = kgen.models.create("vae", data, latent_size=20)
vae.compile()
vae.fit(data.train.images, epochs=VAE_EPOCHS, batch_size=64, verbose=0)
kgen.pictures.grid(vae.sample(20, seed=0, mode="median"), data.levels, columns=10)

# %%
dcgan = kgen.models.create("dcgan", data, base_channels=32 if FULL else 4)
dcgan.compile()
dcgan.fit(data.train.images, epochs=GAN_EPOCHS, batch_size=64, verbose=0)
kgen.pictures.grid(dcgan.sample(20, seed=0), data.levels, columns=10)

# %% [markdown]
# ## Likelihood
#
# A model with a likelihood is judged by the probability it gives to images it was not trained on.
# In nats it depends on the size of the image, so papers divide by the number of dimensions $D$:
#
# $$ \text{bits per dimension} = \frac{-\log p(x)}{D \log 2} $$

# %%
held_out = data.test.limit(500)
found = kgen.evaluation.likelihood(vae, held_out, samples=20 if FULL else 2)
nats, error = found["negative_log_prob_nats"], found["standard_error_nats"]
bits = nats / (np.prod(data.image_shape) * np.log(2))
print(f"VAE: {nats:.1f} +- {error:.1f} nats, {bits:.3f} bits per dimension")
print("of", found["images"], "images;", found["likelihood"], "with", found["samples"], "samples")
assert np.isclose(bits, found["bits_per_dimension"])
print("DCGAN:", kgen.evaluation.likelihood(dcgan, held_out, samples=1))

# %% [markdown]
# The GAN has none: `None`. The two can only be compared by their samples.
#
# ## Features
#
# Distances between pixels say little: shift an image by one pixel, and it is far from itself. So
# samples are compared by the features of a network that knows such images. `for_data` returns the
# small classifier of this data set that comes with kgen; on images of your own it trains one, once.
# Figures of another encoder are not comparable, so its hash is part of every figure. Any function
# from images to features will do:


# %%
def pixels(images):
    """Images as their own features."""
    return images.reshape(len(images), -1).astype("float32")


encoder = kgen.encoders.for_data(data) if FULL else pixels
features = encoder(data.test.limit(COMPARED).images)
print(features.shape, getattr(encoder, "name", "pixels"), getattr(encoder, "sha256", "")[:16])

# %% [markdown]
# ## The Frechet distance, by hand
#
# Take the features of real images and of samples for draws of two normal distributions. Their
# distance is (Heusel et al. 2017, arXiv:1706.08500)
#
# $$ d^2 = |\mu_1 - \mu_2|^2 + \mathrm{tr}\big(C_1 + C_2 - 2 (C_1 C_2)^{1/2}\big) $$
#
# The trace of the root is the sum of the square roots of the eigenvalues of $C_1 C_2$.

# %%
sampled = encoder(vae.sample(COMPARED, seed=0, mode="median")).astype("float64")
real = features.astype("float64")
covariances = np.cov(real, rowvar=False), np.cov(sampled, rowvar=False)
eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).real
distance = np.sum((real.mean(axis=0) - sampled.mean(axis=0)) ** 2)
distance += np.trace(covariances[0] + covariances[1]) - 2 * np.sqrt(eigenvalues.clip(0)).sum()
ours = kgen.metrics.frechet_distance(real, sampled)
print(f"by hand {distance:.4f}, kgen.metrics {ours:.4f}")

# %% [markdown]
# ## A floor and a ceiling
#
# Is that much? `Reference` measures other real images, which no model can be expected to beat (the
# floor), and noise (the ceiling). `quality` measures anything against it: here both models, and
# three impostors, made of real training images without any learning at all.

# %%
reference = kgen.evaluation.Reference(data, encoder, count=COMPARED)
training = data.train.images
blurred = sum(np.roll(training, shift, axis=(1, 2)) / 3.0 for shift in (-1, 0, 1))
one_class = training[data.train.labels == 1]

contestants = {
    "VAE": vae.sample(COMPARED, seed=0, mode="median"),
    "DCGAN": dcgan.sample(COMPARED, seed=0),
    "copies of training images": training[:COMPARED],
    "real, but smeared": np.round(blurred[:COMPARED]).astype("uint8"),
    "real, but of one class": np.resize(one_class, (COMPARED, *data.image_shape)),
}
rows, nearest = dict(reference.rows), {}
for name, images in contestants.items():
    rows[name], nearest[name] = kgen.evaluation.quality(images, reference)

columns = ("frechet_distance", "precision", "recall", "density", "coverage", "memorized")
print(" " * 26, *(f"{column[:10]:>10}" for column in columns))
for name, figures in rows.items():
    values = (np.nan if figures[column] is None else figures[column] for column in columns)
    print(f"{name:26}", *(f"{value:10.3f}" for value in values))

# %% [markdown]
# Read it by columns:
#
# - *Frechet distance* falls from noise to the floor. Copies of the training images reach the floor:
#   it cannot tell learning from remembering.
# - *Precision* is the part of the samples that lie among real images, *recall* the part of the real
#   images that lie among samples (Kynkaanniemi et al. 2019, arXiv:1904.06991): images of one class
#   have the first without the second, and so have smeared ones. *Density* and *coverage* say the
#   same, less shaken by single outliers (Naeem et al. 2020, arXiv:2002.09797).
# - *Memorized* is the share of samples that lie nearer to a training image than 99 % of the
#   held-out images do: about 0.01 for new images, 1 for copies.
#
# Precision and recall in a plane, where the upper right corner is the place to be:

# %%
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
for name, figures in rows.items():
    axes.plot(figures["recall"], figures["precision"], "o", label=name)
axes.set(xlabel="recall", ylabel="precision", xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
axes.legend(fontsize=7)
plt.show()

# %% [markdown]
# ## Does it repeat its training images?
#
# Ask for the samples nearest to training images, and look: the upper row are samples of the DCGAN,
# below each its nearest training image, by the encoder's features. Similar is fine; equal is not.

# %%
near = nearest["DCGAN"]  # distance of each sample to its nearest training image, and which it is
order = np.argsort(near.distances)[:10]
pairs = np.concatenate([contestants["DCGAN"][order], training[near.nearest[order]]])
print(f"median distance {near.median:.2f}, of held-out images {near.held_out_median:.2f}")
kgen.pictures.grid(pairs, data.levels, columns=10)

# %% [markdown]
# ## What a likelihood is not
#
# It sounds natural: a model of clothes gives clothes a high probability, and anything else a low
# one. Compare test images with those of another data set, by the probability that an image of its
# own kind is the more probable of a pair,
#
# $$ \mathrm{AUROC} = P\big(\log p(x_\text{own}) > \log p(x_\text{other})\big) $$
#
# which is 1 for a perfect detector of outliers and 0.5 for a coin.

# %%
strangers = kgen.data.load(STRANGERS, size=SIZE).test.limit(500).images
detection = kgen.density.detect_outliers(vae, held_out.images, strangers, samples=2)
wins = detection.log_probs[:, None] > detection.outlier_log_probs
print(f"AUROC {detection.auroc:.3f}, by hand {wins.mean():.3f}")

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for name, values in ((DATA, detection.log_probs), (STRANGERS, detection.outlier_log_probs)):
    axes.hist(values, 40, alpha=0.6, label=f"test images of {name}")
axes.set(xlabel="log p(x), bound, in nats per image", ylabel="images")
axes.legend()
plt.show()

# %% [markdown]
# Where it is below 0.5, the model finds the strangers *more* probable than images like those it was
# trained on. That is known (Nalisnick et al. 2018, arXiv:1810.09136): a density counts nats per
# image, and simple images, mostly black, cost few. A high likelihood does not mean "I know this".
#
# ## All at once
#
# `evaluate` does all of it for one model; `python -m kgen.evaluate RUN RUN --html models.html` for
# runs side by side, with plots and pictures.

# %%
evaluation = kgen.evaluation.evaluate(dcgan, data, samples=COMPARED, reference=reference)
print({name: round(value, 1) for name, value in evaluation.seconds.items()}, "seconds")
print(f"Frechet distance of the DCGAN: {evaluation.rows['samples']['frechet_distance']:.2f}")

# %% [markdown]
# ## Where to go next
#
# - During training: `kgen.evaluation.SampleQuality(data, every=5)` logs the Frechet distance.
# - Report with every figure: the encoder's hash, the number of images, the split. `evaluation.used`
#   has them.
