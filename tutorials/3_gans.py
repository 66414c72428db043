# %% [markdown]
# # Generative adversarial networks
#
# Two networks play a game: a *generator* draws images from noise, a *discriminator* tells them from
# real ones. There is no likelihood, and no single number that falls; but samples are sharp. You
# will train a DCGAN, read its training step, see two ways in which the game goes wrong, replace the
# rules, LSGAN and WGAN-GP, and measure what each trick of the later papers buys.
#
# The models are in `kgen/models/gans/`: `base.py` plays the game, every other file states two
# losses.

# %%
import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops

import kgen
from kgen.models.gans.collapse import mean_deviation

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
DATA, SIZE, IMAGES, CHANNELS = ("mnist", 16, 16_000, 32) if FULL else ("digits", 8, 128, 4)
DCGAN_EPOCHS, LSGAN_EPOCHS, WGAN_EPOCHS, BROKEN_EPOCHS = (4, 3, 3, 30) if FULL else (1, 1, 1, 1)
TRICK_EPOCHS = 100 if FULL else 1
kgen.set_seed(0)

data = kgen.data.load(DATA, size=SIZE)  # small images, to be through in minutes
images = data.train.limit(IMAGES).images
print(images.shape)
kgen.pictures.grid(images[:20], data.levels, columns=10)

# %% [markdown]
# ## The game
#
# The discriminator gives every image a *logit* $D(x)$; $\sigma(D(x))$ is the probability it sees
# that the image is real. It maximises, the generator minimises (Goodfellow et al. 2014)
#
# $$ \min_G \max_D \; E_x\big[\log \sigma(D(x))\big] + E_z\big[\log(1 - \sigma(D(G(z))))\big] $$
#
# In code, with $\mathrm{softplus}(-a) = -\log \sigma(a)$ and
# $\mathrm{softplus}(a) = -\log(1 - \sigma(a))$, the discriminator's loss is

# %%
print(inspect.getsource(kgen.GAN.discriminator_criterion))

# %% [markdown]
# Before training the discriminator knows nothing: its logits are near 0, and the loss near
# $2 \log 2 = 1.386$. Let us compute it by hand.

# %%
dcgan = kgen.models.create("dcgan", data, base_channels=CHANNELS)
real_logits = dcgan.discriminate(dcgan.scale(images[:64]))  # the images, in [-1, 1]
fake_logits = dcgan.discriminate(dcgan.generate(64))
loss = ops.mean(ops.softplus(-real_logits)) + ops.mean(ops.softplus(fake_logits))
print(f"{ops.convert_to_numpy(loss):.3f} nats; knowing nothing costs {2 * np.log(2):.3f}")

# %% [markdown]
# ## The generator's loss: why not simply the other way round?
#
# Taken literally, the generator minimises $E_z[\log(1 - \sigma(D(G(z))))]$ ("minimax"). At the
# start every generated image is easily told from a real one: $a = D(G(z)) \ll 0$. There the slope
# of that loss, $-\sigma(a)$, is almost 0, and the generator learns nothing. The *non-saturating*
# loss has the same goal, and the slope $\sigma(a) - 1$, steepest just where it is needed:
#
# $$ \text{minimax: } \log(1 - \sigma(a)) = -\mathrm{softplus}(a), \qquad
#    \text{non-saturating: } -\log \sigma(a) = \mathrm{softplus}(-a) $$

# %%
a = np.linspace(-6, 6, 200)
softplus = np.logaddexp(0, a)
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(a, -softplus, label=r"minimax, $-$softplus$(a)$")
axes.plot(a, np.logaddexp(0, -a), label=r"non-saturating, softplus$(-a)$")
axes.set(xlabel="logit $a$ of a generated image", ylabel="loss of the generator")
axes.legend()
plt.show()

sigmoid = 1 / (1 + np.exp(5))  # at a = -5
print(f"slopes at a = -5: minimax {-sigmoid:.3f}, non-saturating {sigmoid - 1:.3f}")
print(inspect.getsource(kgen.GAN.generator_criterion))

# %% [markdown]
# ## The alternating step
#
# One `train_step` makes two updates, each with an optimizer and a loss of its own. `minimize`
# changes the weights of the player it names, and no others; the images the discriminator is shown
# are cut off from the generator by `stop_gradient`.

# %%
print(inspect.getsource(kgen.DCGAN.train_step))
print(inspect.getsource(kgen.DCGAN.discriminator_loss))

# %% [markdown]
# `compile()` takes the recommended optimizers, one per player; yours would be
# `compile(optimizer={"discriminator": ..., "generator": ...})`. Training is Keras' `fit`, so a
# callback can keep what the generator makes of the same noise after every epoch.


# %%
class Watch(keras.callbacks.Callback):
    """Keeps ten samples of the same noise after every epoch."""

    def on_train_begin(self, logs=None):
        self.rows = []

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append(self.model.sample(10, seed=0))


def trained(model, images, epochs, **settings):
    """Its history, and a picture with one row of samples per epoch."""
    model.compile(**settings)
    callbacks = [watch := Watch(), *model.watchers()]
    history = model.fit(images, epochs=epochs, batch_size=64, callbacks=callbacks, verbose=0)
    last = {name: values[-1] for name, values in history.history.items()}
    print(", ".join(f"{name} {value:.3f}" for name, value in last.items()))
    return history.history, kgen.pictures.grid(np.stack(watch.rows), model.levels)


history, rows = trained(dcgan, images, DCGAN_EPOCHS)
rows

# %% [markdown]
# The same noise in every column, one row per epoch. Do not look for a loss that falls: if both
# players improve, neither loss moves. What tells something are the accuracies, the parts of the
# real and of the generated images that the discriminator takes for what they are. At 0.5 it
# guesses; at 1 it always knows, and the generator has nothing to learn from.
#
# ## What goes wrong
#
# Two failures are so common that kgen watches for them and says one line, in `python -m kgen.fit`
# always, in your own `fit` with `callbacks=model.watchers()`:
#
# - *Saturation*: the discriminator is right about everything.
# - *Collapse*: whatever the noise, the generator makes the same image.
#
# Small dense networks on small digits are enough to provoke both. First a reference that works:

# %%
digits = kgen.data.load("digits")
DENSE = {"generator_units": (64, 128), "discriminator_units": (128, 64), "latent_size": 16}


def play(learning_rates, **settings):
    """A dense GAN on digits, its players with learning rates of their own."""
    kgen.set_seed(0)
    model = kgen.models.create("gan", digits, **DENSE, **settings)
    optimizer = {
        player: keras.optimizers.Adam(rate, beta_1=0.5) for player, rate in learning_rates.items()
    }
    history, _ = trained(model, digits.train.images, BROKEN_EPOCHS, optimizer=optimizer)
    variety = mean_deviation(model.sample(64, seed=0), model.levels)
    real = mean_deviation(digits.test.images[:64], digits.levels)
    print(f"a pixel deviates by {variety:.1%} of the range, {real:.1%} in real images")
    return history, kgen.pictures.grid(model.sample(20, seed=0), model.levels, columns=10)


balanced, picture = play({"discriminator": 1e-3, "generator": 1e-3})
picture

# %% [markdown]
# A discriminator that learns much faster than a generator of the minimax kind:

# %%
saturated, picture = play({"discriminator": 1e-2, "generator": 1e-4}, loss="minimax")
picture

# %% [markdown]
# A generator that runs ahead of its discriminator moves all its images to whatever is thought real
# at the moment:

# %%
collapsed, picture = play({"discriminator": 1e-5, "generator": 5e-2})
picture

# %%
figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True, layout="constrained")
games = {"balanced": balanced, "fast discriminator": saturated, "fast generator": collapsed}
for panel, (title, curves) in zip(axes, games.items(), strict=True):
    panel.plot(curves["real_accuracy"], label="real images")
    panel.plot(curves["fake_accuracy"], label="generated images")
    panel.set(title=title, xlabel="epoch", ylim=(-0.02, 1.02))
axes[0].set(ylabel="accuracy of the discriminator")
axes[0].legend()
plt.show()

# %% [markdown]
# What helps, besides balance: `label_smoothing=0.1`, which holds the discriminator back,
# `ema=0.999`, samples from averaged weights, and the tricks at the end. Or another loss.
#
# ## LSGAN
#
# Least squares instead of logarithms (Mao et al. 2017): the discriminator's output shall be 1 for
# real and 0 for generated images, and the generator wants 1. An image on the right side of the
# boundary, but far from the real ones, is still pulled.
#
# $$ L_D = \tfrac12 E_x\big[(D(x) - 1)^2\big] + \tfrac12 E_z\big[D(G(z))^2\big], \qquad
#    L_G = \tfrac12 E_z\big[(D(G(z)) - 1)^2\big] $$

# %%
print(inspect.getsource(kgen.LSGAN.discriminator_criterion))
print(inspect.getsource(kgen.LSGAN.generator_criterion))

# %%
lsgan = kgen.models.create("lsgan", data, base_channels=CHANNELS)
history, rows = trained(lsgan, images, LSGAN_EPOCHS)
rows

# %% [markdown]
# ## WGAN-GP
#
# The Wasserstein distance says how far the generated images would have to be moved to become the
# real ones. A *critic* $D$ that is nowhere steeper than 1 measures it (Arjovsky et al. 2017):
#
# $$ W = \max_{|\nabla D| \le 1} \; E_x\big[D(x)\big] - E_z\big[D(G(z))\big] $$

# %%
print(inspect.getsource(kgen.WGANGP.discriminator_criterion))
print(inspect.getsource(kgen.WGANGP.generator_criterion))

# %% [markdown]
# The steepness is held at 1 by a penalty on the gradient, at random points between real and
# generated images (Gulrajani et al. 2017):
#
# $$ L_D = E_z\big[D(G(z))\big] - E_x\big[D(x)\big]
#    + 10 \, E_{\hat x}\big[(|\nabla D(\hat x)| - 1)^2\big],
#    \qquad \hat x = e\, x + (1 - e)\, G(z), \quad e \sim U(0, 1) $$

# %%
print(inspect.getsource(kgen.WGANGP.gradient_penalty))

# %% [markdown]
# The critic is updated several times for each update of the generator: the better it is, the
# better the distance it reports. A Wasserstein critic cannot saturate.

# %%
wgan_gp = kgen.models.create("wgan_gp", data, base_channels=CHANNELS, critic_steps=3)
history, rows = trained(wgan_gp, images, WGAN_EPOCHS)
rows

# %% [markdown]
# And its loss means something: without the penalty, it is minus the estimated distance.
#
# $$ W \approx -\big(L_D - \text{penalty}\big) $$

# %%
for epoch in range(WGAN_EPOCHS):
    distance = -(history["discriminator_loss"][epoch] - history["gradient_penalty"][epoch])
    print(f"epoch {epoch + 1}: estimated distance {distance:.2f}")

# %% [markdown]
# Which of the three is best cannot be read off their losses: samples have to be measured.
#
# ## What each trick buys
#
# Later papers have left a box of tricks. All of them are options of the `gan` and the `dcgan`:
#
# - The *hinge loss* is 0 for images on the right side by a margin of 1. It goes with *spectral
#   normalisation* of $D$: no layer is steeper than a bound (Miyato et al. 2018).
# - *Augmentation*: $D$ sees all images shifted, so that it cannot learn those of the training by
#   heart (Zhao et al. 2020). `"cutout"` and `"color"` are other changes.
# - The *R1 penalty* is on $D$'s gradient at real images (Mescheder et al. 2018). *Lazy*: in one
#   step of 16, sixteen times as strong (Karras et al. 2020).
# - *Minibatch deviation*: $D$ sees how much the images of a batch differ (Karras et al. 2017).
# - *Residual networks*: both players are made of blocks that add to their input.
#
# Each is added alone to the balanced dense game above, for as many steps. The Frechet distance says
# how far 1,000 samples are from the test images, by the features of a classifier; precision, which
# part of the samples is like test images; recall, the other way round (`6_evaluating.py`).

# %%
TRICKS = {
    "none": {},
    "hinge loss": {"loss": "hinge"},
    "hinge and spectral": {"loss": "hinge", "spectral_normalization": True},
    "augmentation": {"augment": ("translation",)},
    "lazy R1": {"r1_weight": 1.0, "r1_every": 16},
    "minibatch deviation": {"minibatch_deviation": True},
    "convolutions": {"architecture": "conv", "base_channels": CHANNELS},
    "residual networks": {"architecture": "resnet", "base_channels": CHANNELS},
}
TRICKS["all of these"] = {key: value for one in TRICKS.values() for key, value in one.items()}
TRICKS["another seed"] = {}  # and no trick
reference = kgen.evaluation.Reference(digits, kgen.encoders.for_data(digits), len(digits.test))
print(f"other real images: {reference.rows['real images (floor)']['frechet_distance']:.1f}")

rows = {}
for name in TRICKS if FULL else ("all of these", "another seed"):
    kgen.set_seed(int(name == "another seed"))
    model = kgen.models.create("gan", digits, **DENSE | TRICKS[name])
    model.compile({player: keras.optimizers.Adam(1e-3, beta_1=0.5) for player in model.players})
    model.fit(digits.train.images, epochs=TRICK_EPOCHS, batch_size=64, verbose=0)
    samples = model.sample(1000, seed=0)
    figures, _ = kgen.evaluation.quality(samples, reference)
    shown = (f"{key} {figures[key]:5.2f}" for key in ("frechet_distance", "precision", "recall"))
    print(f"{name:20}", *shown)
    rows[name] = samples[:16], figures["frechet_distance"]

# %%
figure, panels = plt.subplots(len(rows), 1, figsize=(9, 0.6 * len(rows)), layout="constrained")
for panel, (name, (samples, distance)) in zip(panels, rows.items(), strict=True):
    panel.imshow(kgen.pictures.grid(samples, digits.levels, columns=16), cmap="gray")
    panel.set(xticks=[], yticks=[])
    panel.set_ylabel(f"{name}\n{distance:.1f}", rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
# The two rows without a trick differ by three. Hinge loss, R1 and minibatch deviation lie between
# them: one run shows no gain. Shifts, and far more so hinge with spectral normalisation, cost
# distance in this short dense game; convolutions and residual networks need more steps. No trick is
# good as such: measure, with several seeds. Where modes can be counted, on a ring of eight, the
# plain game keeps four and one with lazy R1 seven, the medians of five seeds
# (`benchmarks/studies/gan_ring.py`).
#
# ## Where to go next
#
# - Given a label, `cgan`; the dense game of 2014, `gan`; clipped weights, `wgan`.
# - A loss of your own in ten lines: `8_your_model.py`.
