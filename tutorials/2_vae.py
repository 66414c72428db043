# %% [markdown]
# # Variational autoencoders
#
# An autoencoder squeezes an image through a few numbers and rebuilds it. A *variational*
# autoencoder (VAE) also learns how those numbers are distributed, so that you can draw new ones and
# decode them to new images; a *conditional* one lets you say of which class. You will train all
# three on handwritten digits, compute the bound they maximise by hand, and walk through the space
# of digits.
#
# The models are `kgen/models/autoencoders/autoencoder.py`, `vae.py` and `cvae.py`, each written
# to be read.

# %%
import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import matplotlib.pyplot as plt
import numpy as np

import kgen

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
DATA, EPOCHS, HIDDEN = ("mnist", 5, 500) if FULL else ("digits", 1, 32)
kgen.set_seed(0)

# %% [markdown]
# ## The data: black and white digits
#
# `binarize="static"` draws every pixel once, black or white, with its grey value as the probability
# of white. Two values per pixel keep the formulas short: what the decoder gives for a pixel is one
# probability.

# %%
data = kgen.data.load(DATA, binarize="static")
train, test = data.train, data.test
print(train.images.shape, "levels:", data.levels)
kgen.pictures.grid(train.images[:20], data.levels, columns=10)


# %% [markdown]
# All three models are trained in the same way.


# %%
def trained(name, **settings):
    model = kgen.models.create(name, data, hidden=(HIDDEN,), **settings)
    model.compile()
    labels = train.labels if model.conditional else None
    model.fit(train.images, labels, epochs=EPOCHS, batch_size=128, verbose=0)
    test_labels = test.labels if model.conditional else None
    measured = model.evaluate(test.images, test_labels, batch_size=256, verbose=0, return_dict=True)
    terms = ", ".join(f"{term} {measured[term]:.1f}" for term in model.metric_names)
    print(f"{name}: {terms} (nats per test image)")
    return model


# %% [markdown]
# ## An autoencoder
#
# The encoder $f$ maps an image $x$ to a code $z$, here of two numbers, so that we can draw it. The
# decoder $g$ maps the code back to a probability of white for every pixel $i$, of which it gives
# the logit $a_i = g_i(z)$. Training minimises how surprising the image is, given its code, in nats:
#
# $$ -\log p(x|z) = -\sum_i \log \sigma\big((2 x_i - 1)\, a_i\big)
#    = \sum_i \log\big(1 + e^{(1 - 2 x_i)\, a_i}\big) $$
#
# and this is the code that computes it; `softplus` is $\log(1 + e^a)$:

# %%
print(inspect.getsource(kgen.distributions.Bernoulli.log_prob))

# %%
autoencoder = trained("autoencoder", latent_size=2)
originals = test.images[:10]
rebuilt = autoencoder.reconstruct(originals)
kgen.pictures.grid(np.concatenate([originals, rebuilt]), data.levels, columns=10)

# %% [markdown]
# Two numbers per image do a lot. But where are the codes? Nobody told the encoder, so they lie
# where it pleased:

# %%
codes = autoencoder.latents(test.images)
print("standard deviations of the two codes:", codes.std(axis=0).round(2))

figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
points = axes.scatter(*codes.T, c=test.labels, s=3, cmap="tab10")
figure.colorbar(points, ax=axes, label="digit")
axes.set(title="codes of the autoencoder", xlabel="$z_1$", ylabel="$z_2$")
plt.show()

# %% [markdown]
# To make a new digit you would need a code, and there is no rule to draw one. Try a normal
# distribution of mean 0 and deviation 1, and compare with the deviations above: the draws meet but
# a part of the cloud, and what they give is much alike.

# %%
random_codes = np.random.default_rng(0).standard_normal((20, 2))
kgen.pictures.grid(autoencoder.decode(random_codes), data.levels, columns=10)

# %% [markdown]
# ## From the autoencoder to the VAE
#
# The VAE settles it in advance: latents shall be distributed as $p(z) = N(0, I)$. Its encoder gives
# no point, but a normal distribution per image, $q(z|x) = N(\mu(x), \sigma^2(x))$, and training
# pulls these towards the prior just as hard as the reconstruction permits. The sum of both terms
# is no invention: it is a lower bound of the log-probability of the image, the *evidence lower
# bound* (ELBO),
#
# $$ \log p(x) \;\ge\; \underbrace{E_{q(z|x)}\big[\log p(x|z)\big]}_{-\text{reconstruction}}
#    \;-\; \underbrace{KL\big(q(z|x) \,\|\, p(z)\big)}_{\text{kl}} $$
#
# with the second term in closed form,
#
# $$ KL = \tfrac12 \sum_j \mu_j^2 + \sigma_j^2 - \log \sigma_j^2 - 1 $$
#
# and the expectation by one draw that gradients pass through (the *reparametrisation trick*):
#
# $$ z = \mu + \sigma \epsilon, \qquad \epsilon \sim N(0, I) $$
#
# Find all three in the code that is trained:

# %%
print(inspect.getsource(kgen.distributions.normal_kl))
print(inspect.getsource(kgen.VAE.objective))

# %%
plane = trained("vae", latent_size=2)

# %% [markdown]
# The same picture again: now the codes fill the space around 0.

# %%
mean, log_variance = plane.encode(test.images)
print("standard deviations of the means:", mean.std(axis=0).round(2))

figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
points = axes.scatter(*mean.T, c=test.labels, s=3, cmap="tab10")
figure.colorbar(points, ax=axes, label="digit")
axes.set(title="posterior means of the VAE", xlabel="$z_1$", ylabel="$z_2$")
plt.show()

# %% [markdown]
# With two latents you can see all that the model knows: decode a grid from -2.5 to 2.5 in both.

# %%
values = np.linspace(-2.5, 2.5, 12)
kgen.pictures.grid(kgen.latent.traverse(plane, None, (0, 1), values), data.levels)

# %% [markdown]
# ## More latents, and the bound by hand
#
# Two latents are few. With twenty the bound is better, that is, lower in nats:

# %%
vae = trained("vae", latent_size=20)

# %% [markdown]
# The KL term needs nothing but the encoder, so let us compute it in NumPy:
#
# $$ KL = \tfrac12 \sum_j \mu_j^2 + \sigma_j^2 - \log \sigma_j^2 - 1 $$

# %%
mean, log_variance = vae.encode(test.images)
kl = 0.5 * np.sum(mean**2 + np.exp(log_variance) - log_variance - 1, axis=1)
reported = vae.evaluate(test.images, batch_size=256, verbose=0, return_dict=True)["kl"]
print(f"by hand {kl.mean():.4f} nats, reported by the model {reported:.4f} nats")

# %% [markdown]
# Each latent has its own share of the KL. One whose share is 0 would say nothing about the image:
# a model with more latents than it needs leaves some unused.

# %%
shares = 0.5 * np.mean(mean**2 + np.exp(log_variance) - log_variance - 1, axis=0)
print(f"{np.sum(shares > 0.1)} of {vae.latent_size} latents carry more than 0.1 nats")

figure, axes = plt.subplots(figsize=(5, 2.5), layout="constrained")
axes.bar(range(vae.latent_size), np.sort(shares)[::-1])
axes.set(xlabel="latent, sorted", ylabel="KL in nats")
plt.show()

# %% [markdown]
# The ELBO is one bound of $\log p(x)$; averaging $k$ draws inside the logarithm gives a tighter one
# (Burda et al. 2015, arXiv:1509.00519):
#
# $$ \log p(x) \;\ge\; E\Big[\log \tfrac1k \sum_{i=1}^k \frac{p(x|z_i)\, p(z_i)}{q(z_i|x)}\Big],
#    \qquad z_i \sim q(z|x) $$

# %%
for k in (1, 10, 100) if FULL else (1, 10):
    bound = vae.log_prob(test.images[:200], samples=k, seed=0).mean()
    print(f"k = {k:3}: log p(x) >= {bound:.2f} nats per image")

# %% [markdown]
# ## Reconstructions and samples
#
# Test images above what is left of them after twenty numbers, then twenty digits that nobody wrote.

# %%
pairs = np.concatenate([originals, vae.reconstruct(originals)])
kgen.pictures.grid(pairs, data.levels, columns=10)

# %%
kgen.pictures.grid(vae.sample(20, seed=0, mode="median"), data.levels, columns=10)

# %% [markdown]
# `mode="median"` shows the more probable value of each pixel, as papers do. By default, `sample`
# draws from the model: it also tosses a coin for every pixel. Such draws show what the model
# assumes of pixels: given $z$, they know nothing of each other.

# %%
kgen.pictures.grid(vae.sample(20, seed=0), data.levels, columns=10)

# %% [markdown]
# ## Interpolation
#
# Between the codes $a$ and $b$ of two images lie others. The straight way,
#
# $$ z = (1 - t)\, a + t\, b $$
#
# cuts through the middle, where latents are shorter than almost any the prior draws: in $d$
# dimensions their length is close to $\sqrt d$. The *spherical* way keeps it, with $w$ the
# angle between $a$ and $b$:
#
# $$ z = \frac{\sin((1 - t)\, w)}{\sin w}\, a + \frac{\sin(t\, w)}{\sin w}\, b $$
#
# First row: mixed pixels, rounded. Second: the straight way between latents. Third: the spherical
# one.

# %%
first, last = (test.images[test.labels == label][:1] for label in (4, 0))
t = np.linspace(0, 1, 10)[:, None, None, None]
mixed = np.round((1 - t) * first + t * last).astype("uint8")[None]
straight = kgen.latent.interpolate(vae, first, last, steps=10, kind="linear")
spherical = kgen.latent.interpolate(vae, first, last, steps=10, kind="spherical")
kgen.pictures.grid(np.concatenate([mixed, straight, spherical]), data.levels)

# %% [markdown]
# ## The conditional VAE
#
# Give encoder and decoder the label $y$, and nothing else changes,
#
# $$ \log p(x|y) \;\ge\; E_{q(z|x,y)}\big[\log p(x|z,y)\big] - KL\big(q(z|x,y) \,\|\, p(z)\big) $$
#
# but the latents need not say which digit it is any more. They are free for the rest: slant, width,
# the thickness of the pen.

# %%
print(inspect.getsource(kgen.CVAE.apply_decoder))
cvae = trained("cvae", latent_size=20)

# %% [markdown]
# Every row below is one latent $z$, every column a label: ten digits in the same hand.

# %%
latents = np.random.default_rng(1).standard_normal((5, cvae.latent_size))
digits = np.arange(10)
rows = cvae.decode(np.repeat(latents, 10, axis=0), np.tile(digits, 5))
kgen.pictures.grid(rows, data.levels, columns=10)

# %% [markdown]
# Take the handwriting of a real image, and write all digits in it: encode it with its own label,
# decode with the others.

# %%
style = cvae.latents(test.images[:4], test.labels[:4])
rewritten = cvae.decode(np.repeat(style, 10, axis=0), np.tile(digits, 4))
rows = np.concatenate([test.images[:4, None], rewritten.reshape(4, 10, *data.image_shape)], axis=1)
kgen.pictures.grid(rows, data.levels)

# %% [markdown]
# A model of $p(x|y)$ is also a classifier, by Bayes' rule with equally frequent labels:
#
# $$ p(y|x) = \frac{p(x|y)}{\sum_{y'} p(x|y')} $$

# %%
some = test.limit(500 if FULL else 20)
found = kgen.density.classify(cvae, some.images, samples=5).labels
print(f"{np.mean(found == some.labels):.1%} of {len(some)} test images classified by their bounds")

# %% [markdown]
# ## Where to go next
#
# - Convolutions instead of dense layers: `architecture="conv"`.
# - A stronger pull towards the prior, `beta_vae`; the tighter bound as the objective, `iwae`.
# - Latents that give an exact likelihood and an exact inverse: `5_glow.py`.
