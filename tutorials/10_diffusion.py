# %% [markdown]
# # Diffusion
#
# Destroy an image with noise, a little at a time, and teach a network to undo one step. Then start
# with nothing but noise, undo step after step, and an image appears that nobody drew. You will
# train such a network on digits, write its sampler in five lines, compare samplers, guide the model
# towards a class, compute a likelihood, walk between digits, and complete half-hidden ones.
#
# The models are in `kgen/models/diffusion/`. This page takes `edm.py` (Karras et al. 2022,
# arXiv:2206.00364); `ddpm.py`, `improved_ddpm.py` and `flow_matching.py` differ in how noise is
# added and in what the network predicts.

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
EPOCHS, CHANNELS, MULTIPLIERS = (100, 32, (1, 2)) if FULL else (1, 8, (1,))
STEPS, FEW = ((4, 8, 16, 32), (2, 6, 18)) if FULL else ((2,), (2,))
kgen.set_seed(0)

data = kgen.data.load("digits")  # 8x8 pixels, 17 grey levels
train, test = data.train, data.test
print(train.images.shape, "levels:", data.levels)
kgen.pictures.grid(train.images[:20], data.levels, columns=10)

# %% [markdown]
# ## Noise
#
# Scale the pixels of an image $x$ to $[-1, 1]$, and add noise of standard deviation $\sigma$:
#
# $$ x_\sigma = x + \sigma \epsilon, \qquad \epsilon \sim N(0, I) $$
#
# With $\sigma = 0.002$ nothing can be seen of the noise, with $\sigma = 80$ nothing of the image:
# whatever $x$ was, $x_{80}$ is as good as a draw from $N(0, 80^2 I)$. Each column below has more
# noise than the one before.

# %%
sigmas = np.array([0.002, 0.1, 0.3, 0.6, 1, 2, 5, 80], "float32")
images = test.images[:3]
noise = np.random.default_rng(0).standard_normal((3, 1, *data.image_shape), "float32")


def as_levels(values):
    """Values, of which -1 is black and 1 is white, as the levels of an image."""
    return np.clip((values + 1) / 2 * data.levels, 0, data.levels - 1).astype("uint8")


x = images[:, None] / (data.levels - 1) * 2.0 - 1.0  # (3, 1, 8, 8, 1)
noisy = (x + sigmas[None, :, None, None, None] * noise).astype("float32")  # (3, 8, 8, 8, 1)
kgen.pictures.grid(as_levels(noisy), data.levels)

# %% [markdown]
# ## What the network learns
#
# The denoiser $D$ guesses the image in $x_\sigma$, and minimises
#
# $$ E_{x, \sigma, \epsilon} \; w(\sigma) \, | D(x + \sigma \epsilon; \sigma) - x |^2 $$
#
# The best guess is a mean, $D(x_\sigma; \sigma) = E[x \,|\, x_\sigma]$: of all images that could be
# behind the noise. No noise level is like another: at $\sigma = 0.002$ the answer is nearly the
# input, at $80$ the input says nothing. So the network $F$ gets an input, and is asked for an
# output, of variance 1 at every level (*preconditioning*):
#
# $$ D(x_\sigma; \sigma) = c_\text{skip} \, x_\sigma +
#    c_\text{out} F(c_\text{in} x_\sigma; \sigma) $$
#
# $F$ is a U-Net (`kgen/layers/unet.py`). A label, if there is one, enters it beside the noise
# level; for one image in ten it is dropped, which will be needed for guidance.

# %%
print(inspect.getsource(kgen.EDM.objective))

# %%
model = kgen.models.create(
    "edm", data, base_channels=CHANNELS, multipliers=MULTIPLIERS, ema=0.99, attention=0
)
model.compile()
started = time.perf_counter()
history = model.fit(train.images, train.labels, epochs=EPOCHS, batch_size=64, verbose=0).history
print(f"loss {history['loss'][0]:.3f} in the first epoch, {history['loss'][-1]:.3f} in the last;")
print(f"{model.count_params():,} weights, {time.perf_counter() - started:.0f} s")

# %% [markdown]
# The loss stays far above 0, and must: nobody can say which image was behind heavy noise. Unlike
# that of a GAN it falls steadily, but slowly; look at samples, too.
#
# ## Denoising
#
# The guesses for the noisy images above. With little noise they are the images; with much noise
# they are blurred, a mean of all digits that fit; at $\sigma = 80$ they are the mean of the class,
# as the model knows the label.


# %%
def denoise(x, sigma, labels):
    """D(x; sigma), in the model's own terms."""
    point = model.noise_path.at(sigma)  # sigma, and alpha = 1
    return model.denoise(x, point, model.embed(labels)).image


compiled = kgen.backend.compiled(model, denoise)  # with the averaged weights


def denoised(x, sigma, labels):
    return ops.convert_to_numpy(compiled(x, np.float32(sigma), labels))


labels = test.labels[:3].astype("int32")
guesses = [denoised(noisy[:, i], sigma, labels) for i, sigma in enumerate(sigmas)]
kgen.pictures.grid(as_levels(np.stack(guesses, axis=1)), data.levels)

# %% [markdown]
# ## A sampler in five lines
#
# One guess is blurred. But it says in which direction images lie, and a small step in this
# direction makes the next guess better. In the limit of small steps it is a differential equation,
#
# $$ \frac{dx}{d\sigma} = \frac{x - D(x; \sigma)}{\sigma} $$
#
# which leads from a draw of $N(0, 80^2 I)$ at $\sigma = 80$ to an image at $\sigma = 0$. Euler's
# method, on a grid of noise levels that gets finer towards the image:

# %%
levels = model.times(18)  # 80, ..., 0.002, 0
print(np.round(levels, 3))
labels = np.arange(10, dtype="int32")
x = 80 * np.random.default_rng(5).standard_normal((10, *data.image_shape), "float32")
rows = []
for sigma, next_sigma in itertools.pairwise(levels):
    guess = denoised(x, sigma, labels)
    x = x + np.float32((next_sigma - sigma) / sigma) * (x - guess)
    rows.append(guess)
kgen.pictures.grid(as_levels(np.stack([*rows[::3], x])), data.levels)

# %% [markdown]
# From above: the guess $D(x; \sigma)$ at every third level, from the mean of each class to a digit;
# last the result. `model.sample` runs the same loop, compiled, from the same noise for the same
# seed. Euler's method goes by the name of DDIM (Song et al. 2020, arXiv:2010.02502):

# %%
drawn = model.sample(condition=labels, seed=5, steps=18, sampler="ddim")
print(f"{np.mean(drawn == as_levels(x)):.1%} of the pixels are those of the loop above")

# %% [markdown]
# ## Samplers
#
# What costs time is the network. A better method needs fewer evaluations of it:
#
# - `ddim`, Euler's method: one evaluation a step; its error falls as $1 / N$ in $N$ steps.
# - `heun`, the default: a step, then a second look at its end: two evaluations, error as $1 / N^2$.
# - `dpm_solver++`: one evaluation a step, and the guess of the step before for the second order.
# - `ancestral`: adds new noise in each step. It solves no equation, but draws; and needs many.
#
# The distance to what 150 steps of Heun's method make of the same noise, against evaluations:

# %%
exact = model.sample(condition=labels, seed=0, steps=150 if FULL else 5).astype("float32")
errors = {sampler: [] for sampler in ("ddim", "heun", "dpm_solver++")}
for sampler, found in errors.items():
    for steps in STEPS:
        images = model.sample(condition=labels, seed=0, steps=steps, sampler=sampler)
        evaluations = 2 * steps - 1 if sampler == "heun" else steps
        found.append((evaluations, np.abs(images - exact).mean()))

figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
for sampler, found in errors.items():
    axes.plot(*zip(*found, strict=True), "o-", label=sampler)
axes.set(xscale="log", yscale="log", xlabel="network evaluations", ylabel="mean error, grey levels")
axes.legend()
plt.show()

# %% [markdown]
# Pixels are whole numbers, so an error far below one level is none. For a handful of evaluations
# Heun's method has too few steps, and Euler's or DPM-Solver++ are better. The documentation's page
# on diffusion has the curve of a model of MNIST. Rows: Heun's method with few steps, then
# `ancestral` with as many steps as the last row of Heun's had.

# %%
rows = [model.sample(condition=labels, seed=0, steps=steps) for steps in FEW]
rows.append(model.sample(condition=labels, seed=0, steps=FEW[-1], sampler="ancestral"))
kgen.pictures.grid(np.stack(rows), data.levels)

# %% [markdown]
# ## Guidance
#
# The same network was trained with and without labels. *Classifier-free guidance* (Ho & Salimans
# 2022, arXiv:2207.12598) exaggerates what the label changes:
#
# $$ F = F(\text{nothing}) + g \, \big( F(\text{label}) - F(\text{nothing}) \big) $$
#
# With `guidance` $g = 1$ it is plain conditional sampling, with $g = 0$ unconditional. Larger
# values make images more typical of their class and less varied: these are no draws of the model
# any more. (Papers also count from 0: their $w$ is $g - 1$.) Twelve eights for $g$ = 0, 1, 4:

# %%
eights = np.full(12, 8, "int32")
rows = [model.sample(condition=eights, seed=3, guidance=guidance) for guidance in (0, 1, 4)]
for guidance, row in zip((0, 1, 4), rows, strict=True):
    spread = row.astype("float32").std(axis=0).mean()
    print(f"guidance {guidance}: pixels deviate by {spread:.2f} levels from the mean image")
kgen.pictures.grid(np.stack(rows), data.levels)

# %% [markdown]
# ## Likelihood
#
# The differential equation has no noise, so it is a bijection between images and noise, as a flow
# is: the density of an image follows from that of its noise and the change of volume,
#
# $$ \log p(x) = \log N(x_{80}; 0, 80^2 I) + \int \operatorname{div} f \, d\sigma, \qquad
#    f = \frac{x - D(x; \sigma)}{\sigma} $$
#
# The divergence is a sum over all pixels. Random signs $e$ estimate it at the cost of one pixel,
# without bias (Hutchinson): $\operatorname{div} f = E[e^T J e]$. Pixels are whole numbers, so
# uniform noise fills their bins, which makes the mean of $\log p$ a lower bound of the logarithm of
# the probability, in nats per image. How far is one draw of both off?

# %%
held_out, given = test.images[:20], test.labels[:20]
steps, draws = (100, 5) if FULL else (3, 2)
found = model.log_prob_draws(held_out, given, draws, seed=0, steps=steps)  # (draws, images)
dimensions = np.prod(data.image_shape)
nats = -found.mean(axis=0)
error = nats.std(ddof=1) / np.sqrt(len(nats))
print(f"{nats.mean():.1f} +- {error:.1f} nats per image, mean of {draws} draws")
print(f"{nats.mean() / np.log(2) / dimensions:.2f} bits per dimension; noise needs ", end="")
print(f"{np.log2(data.levels):.2f}")
print(f"one draw of an image deviates by {np.sqrt(found.var(axis=0, ddof=1).mean()):.1f} nats")

# %% [markdown]
# The exact divergence costs as much as 64 of its estimates, one for each pixel. Fewer steps will do
# to compare the two: what is left of their difference is the noise of the signs.

# %%
for divergence, draws in (("hutchinson", 20 if FULL else 2), ("exact", 1)):
    found = model.log_prob_draws(
        held_out[:2], given[:2], draws, seed=0, steps=20 if FULL else 2, divergence=divergence
    )
    print(f"{divergence}: {np.round(-found.mean(axis=0), 1)} nats, mean of {draws} draws")

# %% [markdown]
# ## Latents
#
# A bijection has latents: `encode` follows the equation from the image to the noise, `decode` the
# other way. Between two of them lies a way, on the sphere where draws of $N(0, I)$ are.

# %%
ends = test.images[:4], test.images[20:24]
codes = model.encode(ends[0], test.labels[:4])
print(f"{codes.shape[1]} latents, standard deviation {codes.std():.2f}")
rebuilt = model.decode(codes, test.labels[:4])
print(f"{np.mean(rebuilt == ends[0]):.1%} of the pixels come back")

# %% [markdown]
# The label is kept on the way, so each row stays in the class of its first image.

# %%
ways = kgen.latent.interpolate(model, *ends, steps=9, kind="spherical", condition=test.labels[:4])
kgen.pictures.grid(ways, data.levels)

# %% [markdown]
# ## Completion
#
# Any pixels may be missing, not only the lower ones. After each step, the known pixels are replaced
# by their true values with the noise of that level, so that the rest comes to fit them (Lugmayr et
# al. 2022, arXiv:2201.09865). Rows: test images, what the model is shown, two completions.

# %%
originals, given = test.images[30:40], test.labels[30:40]
mask = np.zeros(data.image_shape[:2], bool)
mask[:, data.image_shape[1] // 2 :] = True  # True: to be filled in
hidden = np.where(mask[..., None], 0, originals).astype("uint8")
completions = [
    model.complete(originals, mask, given, seed=seed, steps=18 if FULL else 2) for seed in (0, 1)
]
known = ~np.broadcast_to(mask[..., None], originals.shape)
assert all(np.array_equal(images[known], originals[known]) for images in completions)
kgen.pictures.grid(np.stack([originals, hidden, *completions]), data.levels)

# %% [markdown]
# ## Where to go next
#
# - MNIST: `python -m kgen.fit --model edm --data mnist --epochs 20`, hours on two processor cores;
#   then `python -m kgen.sample runs/edm-mnist --sampling steps=9 sampler=dpm_solver++`.
# - Straight paths: `flow_matching`. A likelihood with a bound of its own: `ddpm`, `improved_ddpm`.
# - Captions instead of labels: `kgen.data.load("placed_digits")`; it is the same code.
# - `python -m kgen.evaluate RUN` computes the likelihood of 50 images, which takes minutes;
#   `--likelihood-images N` of more.
