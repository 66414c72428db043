# %% [markdown]
# # Write your own model
#
# A new GAN is two loss functions; a new model of another kind is less than 50 lines. You will write
# one of each, train them, and check them with `kgen.testing`: the same checks that every model of
# kgen has to pass. A saved model continues to train bit for bit. No update of one player changes
# the other. Samples of equal seeds are equal.

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import keras
import numpy as np
from keras import layers, ops

import kgen
from kgen.inference import in_chunks, inference
from kgen.models.gans.base import GANBase

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
DATA, SIZE, IMAGES, EPOCHS = ("fashion_mnist", 16, 20_000, 3) if FULL else ("digits", 8, 128, 1)
kgen.set_seed(0)

data = kgen.data.load(DATA, size=SIZE)  # small images, to be through in minutes
images = data.train.limit(IMAGES).images
kgen.pictures.grid(images[:20], data.levels, columns=10)

# %% [markdown]
# ## A GAN with another loss
#
# `GANBase` (`kgen/models/gans/base.py`) has the networks, the alternating step, sampling, and
# all options. What is left to state are two losses. Take the *hinge loss* (Lim and Ye 2017,
# arXiv:1705.02894): the discriminator cares only about images within the margin from -1 to 1, the
# generator wants a higher output,
#
# $$ L_D = E_x\big[\max(0, 1 - D(x))\big] + E_z\big[\max(0, 1 + D(G(z)))\big], \qquad
#    L_G = -E_z\big[D(G(z))\big] $$


# %%
@keras.saving.register_keras_serializable("tutorial")
class HingeGAN(GANBase):
    """GAN with the hinge loss (Lim and Ye 2017)."""

    discriminator_has_bias = False  # within the margin it would cancel, and have no gradient

    def discriminator_criterion(self, real_logits, fake_logits):
        real = ops.mean(ops.relu(1.0 - real_logits))
        return real + ops.mean(ops.relu(1.0 + fake_logits))

    def generator_criterion(self, fake_logits):
        return -ops.mean(fake_logits)


# %% [markdown]
# That is a whole model. (The line about the offset is there because a check, below, failed without
# it: as long as all logits are between -1 and 1, adding a constant to all of them changes nothing,
# so that the constant was not trained.) Under a name, it is made, saved and
# loaded like kgen's own:

# %%
kgen.models.register("hinge_gan", HingeGAN)
gan = kgen.models.create("hinge_gan", data, base_channels=32 if FULL else 4)
gan.compile()
history = gan.fit(images, epochs=EPOCHS, batch_size=64, verbose=0).history
print({term: round(values[-1], 3) for term, values in history.items()})
kgen.pictures.grid(gan.sample(40, seed=0), data.levels, columns=10)

# %% [markdown]
# ## A model from scratch
#
# Now one with nothing but `ImageModel`, the base class of all models of images: a VAE with *free
# bits* (Kingma et al. 2016, arXiv:1606.04934). A VAE switches latents off whose information is not
# worth its price. Here the first $\lambda$ nats of each latent $j$ are free,
#
# $$ L = -E_q\big[\log p(x|z)\big]
#    + \sum_j \max\Big(\lambda, \; E_x\big[KL\big(q(z_j|x) \,\|\, p(z_j)\big)\big]\Big) $$
#
# with the KL of one latent
#
# $$ KL_j = \tfrac12 \big(\mu_j^2 + \sigma_j^2 - \log \sigma_j^2 - 1\big) $$
#
# Five rules make it run on three backends:
#
# 1. the constructor takes plain values, annotates them, keeps each under its name, and builds every
#    layer;
# 2. computing is `keras.ops`; noise is `self.normal(...)`, never `keras.random`;
# 3. images come as `uint8`: `self.scale` brings them to [-1, 1];
# 4. `objective` returns the loss and the terms named in `metric_names`;
# 5. what is computed after training is marked `@inference`, and its noise is an argument.


# %%
@keras.saving.register_keras_serializable("tutorial")
class FreeBitsVAE(kgen.ImageModel):
    """VAE with free bits (Kingma et al. 2016)."""

    metric_names = ("loss", "reconstruction", "kl")
    small_arguments = {"latent_size": 4, "units": 16}  # for the checks

    def __init__(
        self,
        image_shape: tuple[int, ...] = (28, 28, 1),
        levels: int = 256,
        *,
        latent_size: int = 20,
        units: int = 300,
        free_nats: float = 0.5,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.latent_size, self.units, self.free_nats = latent_size, units, free_nats
        self.likelihood_distribution = kgen.distributions.pixel_distribution(levels)
        outputs = (
            *self.image_shape[:2],
            self.image_shape[2] * self.likelihood_distribution.parameters_per_value,
        )
        self.encoder = keras.Sequential(
            [
                layers.Input(self.image_shape),
                layers.Flatten(),
                layers.Dense(units, "relu"),
                layers.Dense(2 * latent_size, dtype="float32"),
            ]
        )
        self.decoder = keras.Sequential(
            [
                layers.Input((latent_size,)),
                layers.Dense(units, "relu"),
                layers.Dense(int(np.prod(outputs)), dtype="float32"),
                layers.Reshape(outputs, dtype="float32"),
            ]
        )

    def recommended_optimizer(self):
        return keras.optimizers.Adam(1e-3)

    def objective(self, images, condition, training):
        mean, log_variance = ops.split(self.encoder(self.scale(images)), 2, axis=-1)
        latents = mean + ops.exp(0.5 * log_variance) * self.normal(ops.shape(mean))
        reconstruction = -ops.mean(
            self.likelihood_distribution.log_prob(images, self.decoder(latents))
        )
        kl = 0.5 * ops.mean(mean**2 + ops.exp(log_variance) - log_variance - 1.0, axis=0)  # (d,)
        loss = reconstruction + ops.sum(ops.maximum(self.free_nats, kl))
        return loss, {"reconstruction": reconstruction, "kl": ops.sum(kl)}

    def sample(self, count=None, condition=None, seed=None):
        count, _ = self.to_sample(count, condition, noise=self.latent_size)
        latents = np.random.default_rng(seed).standard_normal((count, self.latent_size), "float32")
        return in_chunks(self.decoded, latents)

    @inference
    def decoded(self, latents):
        return self.likelihood_distribution.median(self.decoder(latents))


# %%
kgen.models.register("free_bits_vae", FreeBitsVAE)
for free_nats in (0.0, 0.5):
    vae = kgen.models.create("free_bits_vae", data, free_nats=free_nats)
    vae.compile()
    history = vae.fit(images, epochs=EPOCHS, batch_size=64, verbose=0).history
    last = {term: round(values[-1], 1) for term, values in history.items()}
    print(f"{free_nats} nats free: {last}")

kgen.pictures.grid(vae.sample(40, seed=0), data.levels, columns=10)

# %% [markdown]
# ## The contract
#
# Both models run. Are they right? `kgen.testing` holds one small named check per promise, and picks
# those that apply by what a model says of itself (`players`, `likelihood`, `encodes`,
# `conditional`). It makes the model with the arguments in its attribute `small_arguments`, so that
# compiling takes seconds (the `HingeGAN` inherits those of `GANBase`), and trains it on real
# digits of 8x8 pixels.

# %%
for model_class in (HingeGAN, FreeBitsVAE):
    names = [name for name, check in kgen.testing.checks(model_class)]
    print(model_class.__name__, len(names), "checks:", ", ".join(names[:3]), "...")

# %% [markdown]
# `check_model` runs them all, a minute for a model: in float32 and in mixed precision, compiled and
# eagerly, by one step and by several at once. It raises an error that names every check that fails.

# %%
if FULL:
    for model_class in (HingeGAN, FreeBitsVAE):
        passed = kgen.testing.check_model(model_class)
        print(model_class.__name__, "passes", len(passed), "checks")

# %% [markdown]
# In your own tests, pytest runs each check as a test of its own:
#
# ```python
# @pytest.mark.parametrize(("name", "check"), kgen.testing.checks(FreeBitsVAE))
# def test_contract(name, check):
#     check()
# ```
#
# ## A check that fails
#
# What does it look like when a model is wrong? Here is one that forgets its seed. It trains, and
# its samples are as good as before, but nobody can draw the same ones again:


# %%
@keras.saving.register_keras_serializable("tutorial")
class ForgetfulVAE(FreeBitsVAE):
    """The same, but its samples cannot be repeated."""

    def sample(self, count=None, condition=None, seed=None):
        return super().sample(count, condition)


check = dict(kgen.testing.checks(ForgetfulVAE))["samples_of_equal_seeds_are_equal"]
try:
    check()
except AssertionError as error:
    print("fails:", error)
else:
    raise RuntimeError("the check found nothing")

# %% [markdown]
# A model that breaks a promise on purpose says so, with the reason. `check_model` then accepts that
# failure, and reports it when the check passes again:
#
# ```python
# reason = "its samples come from a device that has no seed"
# expected = {"samples_of_equal_seeds_are_equal": reason}
# kgen.testing.check_model(ForgetfulVAE, expected_failures=expected)
# ```

# %% [markdown]
# ## Where to go next
#
# - Latents or a likelihood: say so (`encodes = decodes = True`, `likelihood = "bound"`), define
#   `encode`, `latents`, `decode` or `log_prob`, and further checks apply.
#   `kgen/models/autoencoders/vae.py` is an example of both.
# - A game of your own: name its `players`, and write a `train_step` with one `minimize` per update,
#   as `kgen/models/gans/base.py` does.
# - A model for kgen itself: its own file and one line in `kgen/models/__init__.py`;
#   `CONTRIBUTING.md` says how.
