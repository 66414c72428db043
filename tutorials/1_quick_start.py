# %% [markdown]
# # Quick start: a variational autoencoder on real digits
#
# You will train a variational autoencoder (VAE) on 1,797 handwritten digits, watch its two loss
# terms, and look at digits that nobody wrote. It takes about a minute on two processor cores.
#
# kgen runs on TensorFlow, JAX and PyTorch. Choose one, by the environment variable `KERAS_BACKEND`,
# before Keras is imported; the rest of this page is the same for all three.

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import matplotlib.pyplot as plt
import numpy as np

import kgen

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
EPOCHS = 100 if FULL else 2
kgen.set_seed(0)

# %% [markdown]
# ## The data
#
# Images are `uint8` arrays `(n, height, width, channels)`. Their values are `0..levels-1`: these
# digits come with 17 grey levels, MNIST with 256.

# %%
data = kgen.data.load("digits").with_validation()  # a tenth of the training images kept apart
print(data.train.images.shape, data.train.images.dtype, data.levels)
kgen.pictures.grid(data.train.images[:40], data.levels, columns=10)

# %% [markdown]
# ## The model
#
# `create` takes the image shape and the number of levels from the data. A kgen model is a Keras
# model: `compile()` without arguments uses the optimizer the model recommends, and `summary`,
# `fit`, `evaluate` and callbacks work as you know them.

# %%
model = kgen.models.create("vae", data, latent_size=10)
model.compile()
model.summary()

# %% [markdown]
# ## Training
#
# The loss is the negative evidence lower bound, in nats per image. It has two terms: how badly the
# decoder explains the image (`reconstruction`), and how far the encoder's latents are from the
# prior (`kl`).

# %%
history = model.fit(
    data.train.images,
    epochs=EPOCHS,
    batch_size=64,
    validation_data=(data.validation.images,),
    verbose=0,
).history
print(
    f"loss: {history['loss'][0]:.1f} nats in the first epoch, {history['loss'][-1]:.1f} in the last"
)

figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
for panel, term in zip(axes, ("loss", "reconstruction", "kl"), strict=True):
    panel.plot(history[term], label="training")
    panel.plot(history[f"val_{term}"], label="validation")
    panel.set(title=f"{term} (nats)", xlabel="epoch")
axes[0].legend()
plt.show()

# %% [markdown]
# ## Digits that nobody wrote
#
# Latents drawn from the prior, decoded. Equal seeds give equal images, on every backend. The model
# draws every pixel from a distribution; `mode="median"` shows its median instead, as papers do.

# %%
samples = kgen.pictures.grid(model.sample(40, seed=0, mode="median"), model.levels, columns=10)
samples.save("samples.png")
samples

# %% [markdown]
# ## Reconstructions
#
# Above test images, below what is left of each after it went through ten numbers.

# %%
originals = data.test.images[:10]
pairs = np.concatenate([originals, model.reconstruct(originals)])
reconstructions = kgen.pictures.grid(pairs, model.levels, columns=10)
reconstructions.save("reconstructions.png")
reconstructions

# %% [markdown]
# ## How good is it?
#
# `log_prob` is a lower bound of the log-probability of each image; it tightens with more samples.

# %%
for samples_per_image in (1, 10, 100):
    bound = model.log_prob(data.test.images[:100], samples=samples_per_image, seed=0)
    print(f"{samples_per_image:4} samples: {bound.mean():.2f} nats per image")

# %% [markdown]
# ## Keep it
#
# `kgen.save` writes JSON and safetensors, which any backend loads.

# %%
kgen.save(model, "digits-vae")
assert np.array_equal(kgen.load("digits-vae").sample(4, seed=1), model.sample(4, seed=1))

# %% [markdown]
# ## Where to go next
#
# - MNIST: `kgen.data.load("mnist")`.
# - The same from the command line: `python -m kgen.fit --model dcgan --data mnist`.
# - What the two terms mean, and what else latents are good for: `2_vae.py`.
# - The other families: `3_gans.py`, `4_pixelcnn.py`, `11_autoregressive.py`, `5_glow.py`,
#   `10_diffusion.py`, `12_energy_models.py`. Models that change your images:
#   `13_editing_images.py`.
# - Sentences: `15_sentences.py`.
# - How good a model is: `6_evaluating.py`. Your own pictures: `7_your_images.py`. Your own model:
#   `8_your_model.py`.
