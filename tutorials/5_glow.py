# %% [markdown]
# # Glow: a normalizing flow
#
# A flow is an invertible network. It turns an image into noise, and because nothing is lost on the
# way, noise into images; the change of volume tells the probability of an image. You will take its
# three kinds of steps apart, check a log-determinant against brute force, train a small Glow, and
# do arithmetic with its latents.
#
# The model is `kgen/models/flows/glow.py`; its steps are in `kgen/layers/bijections.py`.

# %%
import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import matplotlib.pyplot as plt
import numpy as np
from keras import ops

import kgen

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
DATA, SIZE, IMAGES, EPOCHS = ("mnist", 16, 40_000, 2) if FULL else ("digits", 8, 64, 1)
DEPTH, CHANNELS = (4, 32) if FULL else (1, 4)
kgen.set_seed(0)

data = kgen.data.load(DATA, size=SIZE)
train, test = data.train.limit(IMAGES), data.test
print(train.images.shape, "levels:", data.levels)
kgen.pictures.grid(train.images[:20], data.levels, columns=10)

# %% [markdown]
# ## The change of variables
#
# Let $f$ be a bijection from images $y$ to latents $z = f(y)$ of the same number of dimensions, and
# $z \sim N(0, I)$. Then images have the density
#
# $$ \log p(y) = \log N(f(y); 0, I) + \log \left| \det \frac{\partial f}{\partial y} \right| $$
#
# For a chain of steps the log-determinants add up. So what is needed are steps that are flexible,
# with an inverse and a determinant that cost little.
#
# ## Step 1: affine couplings
#
# Split the channels in two halves. One half goes through unchanged; a network looks at it, and
# says how to scale and shift the other:
#
# $$ y_b = x_b, \qquad y_a = x_a \, e^{s(x_b)} + t(x_b), \qquad
#    \log|\det| = \sum s(x_b) $$
#
# The network may be anything, for the inverse needs only its value: $x_a = (y_a - t)\, e^{-s}$.

# %%
print(inspect.getsource(kgen.layers.AffineCoupling.forward))
print(inspect.getsource(kgen.layers.AffineCoupling.inverse))

# %% [markdown]
# ## Step 2: invertible 1x1 convolutions
#
# A coupling leaves half of the channels alone, so they have to be mixed in between: by a matrix $W$
# of its own at every pixel, alike, learned as well. Of the form $W = P L (U + \mathrm{diag}(s))$,
# with a permutation $P$ and triangular $L$ and $U$, its determinant is a product, and over
# $h \times w$ pixels
#
# $$ \log|\det| = h \, w \, \sum_i \log |s_i| $$

# %%
print(inspect.getsource(kgen.layers.InvertibleConv.forward))

# %% [markdown]
# ## Step 3: actnorm
#
# One scale and one bias per channel, which the first batch sets such that it leaves with mean 0 and
# variance 1: $y = (x + b)\, e^{s}$, $\log|\det| = h \, w \sum_c s_c$.

# %%
print(inspect.getsource(kgen.layers.ActNorm.forward))

# %% [markdown]
# ## Against brute force
#
# Chain the three, with random weights in the coupling (it starts as the identity), and compare
# the sum of their log-determinants with that of the Jacobian matrix, 64x64, from differences
#
# $$ J_{ij} \approx \frac{f_i(x + \epsilon e_j) - f_i(x - \epsilon e_j)}{2 \epsilon} $$

# %%
random = np.random.default_rng(0)
coupling = kgen.layers.AffineCoupling((4, 4, 4), base_channels=8)
weights = coupling.network.get_weights()
coupling.network.set_weights([random.normal(0, 0.3, weight.shape) for weight in weights])
step = kgen.layers.Chain([kgen.layers.ActNorm(4), kgen.layers.InvertibleConv(4), coupling])


def forward(images):
    return map(ops.convert_to_numpy, step.forward(ops.convert_to_tensor(images)))


x = random.normal(size=(1, 4, 4, 4)).astype("float32")
epsilon = 1e-2
moves = epsilon * np.eye(64, dtype="float32").reshape(64, 4, 4, 4)
(above, _), (below, _) = forward(x + moves), forward(x - moves)
jacobian = ((above - below) / (2 * epsilon)).reshape(64, 64).T
y, log_det = forward(x)
print(
    f"log|det|: {log_det[0]:.3f} by the steps, {np.linalg.slogdet(jacobian)[1]:.3f} by brute force"
)

back = ops.convert_to_numpy(step.inverse(ops.convert_to_tensor(y)))
print(f"largest error of the inverse: {np.abs(back - x).max():.1e}")

# %% [markdown]
# ## Dequantisation
#
# Images have whole numbers as pixels, a density is for continuous ones: a flow could put an
# infinite density on 256 values. So noise $u \sim U[0, 1)$ fills the bins, and training maximises a
# lower bound of the probability of the discrete image $x$ with $D$ pixels of $K$ levels,
#
# $$ \log P(x) \;\ge\; E_u\big[\log p(y)\big] - D \log K, \qquad y = \frac{x + u}{K} $$
#
# reported in *bits per dimension*: divided by $D \log 2$. An image of noise needs $\log_2 K$ of
# them.

# %%
print(inspect.getsource(kgen.Glow.log_weight))

# %% [markdown]
# ## Training

# %%
glow = kgen.models.create("glow", data, scales=2, depth=DEPTH, base_channels=CHANNELS)
glow.compile()
history = glow.fit(train.images, epochs=EPOCHS, batch_size=64, verbose=0).history
measured = glow.evaluate(test.images[:1000], batch_size=100, verbose=0, return_dict=True)
print(f"bits per dimension: {history['bits_per_dimension'][-1]:.3f}, mean over the last epoch")
print(
    f"of test images: {measured['bits_per_dimension']:.3f}; noise needs {np.log2(data.levels):.3f}"
)

# %% [markdown]
# ## An exact inverse
#
# A VAE rebuilds images approximately, a flow exactly. Encode test images and decode them:

# %%
originals = test.images[:100]
latents = glow.encode(originals)
rebuilt = glow.decode(latents)
print(f"{latents.shape[1]} latents for {np.prod(data.image_shape)} pixels")
print(f"{np.sum(rebuilt != originals)} of {originals.size} pixels differ")

# %% [markdown]
# If the model is good, latents of dequantised images look like draws from $N(0, I)$. Those of
# `encode` are narrower, for it takes the middle of every bin: all black pixels, which noise would
# spread over their bin, are at one point of it.

# %%
figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
grid = np.linspace(-4, 4, 81)
axes.hist(latents.ravel(), grid, density=True, alpha=0.6, label="latents of test images")
axes.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), label="N(0, 1)")
axes.legend()
plt.show()
print(f"mean {latents.mean():.2f}, standard deviation {latents.std():.2f}")

# %% [markdown]
# ## Samples at a temperature
#
# $z \sim N(0, T^2 I)$, decoded: $T = 1$ is the model itself, lower temperatures are calmer and less
# varied. One row each for $T$ = 0, 0.5, 0.7, 1. After two epochs expect strokes rather than digits:
# a flow learns slowly what all pixels together look like.

# %%
rows = [glow.sample(10, seed=0, temperature=temperature) for temperature in (0.0, 0.5, 0.7, 1.0)]
kgen.pictures.grid(np.stack(rows), data.levels)

# %% [markdown]
# ## Latent arithmetic
#
# Find a direction in the latent space that means something. Take thickness of the pen: split
# training images into those with much and with little white, and subtract the means of their
# latents,
#
# $$ d = E[z \,|\, \text{thick}] - E[z \,|\, \text{thin}] $$

# %%
some = train.images[:2000]
white = some.mean(axis=(1, 2, 3))
codes = glow.encode(some)
thick, thin = white > np.quantile(white, 0.8), white < np.quantile(white, 0.2)
direction = codes[thick].mean(axis=0) - codes[thin].mean(axis=0)

# %% [markdown]
# Then walk: every row is a test image, its columns $z + \alpha d$ for $\alpha$ from -1 to 1, the
# image itself in the middle.

# %%
start = glow.encode(test.images[:4])
alphas = np.linspace(-1, 1, 9, dtype="float32")
walks = start[:, None] + alphas[:, None] * direction  # (4, 9, latents)
pictures = glow.decode(walks.reshape(-1, glow.latent_size)).reshape(4, 9, *data.image_shape)
brightness = pictures.mean(axis=(0, 2, 3, 4)) / (data.levels - 1)
print("mean brightness along the walk:", brightness.round(3))
kgen.pictures.grid(pictures, data.levels)

# %% [markdown]
# Interpolation works as for the VAE, but its ends are the images themselves:

# %%
ways = kgen.latent.interpolate(glow, test.images[:4], test.images[4:8], steps=9)
assert np.array_equal(ways[:, 0], glow.reconstruct(test.images[:4]))
kgen.pictures.grid(ways, data.levels)

# %% [markdown]
# ## Where to go next
#
# - A closer bound: `dequantization="variational"`.
# - A flow with couplings alone, in checkerboards: `realnvp`.
# - 28x28 pixels, an hour: `python -m kgen.fit --model glow --data mnist --epochs 8`.
