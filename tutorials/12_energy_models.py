# %% [markdown]
# # Energies, Gibbs sampling, log Z
#
# A probability must be positive, and all probabilities must sum to 1. The first is easy: $e^{-E}$
# is positive for any *energy* $E$. The second takes a sum over all images, $Z$, which nobody can
# compute for a large model. You will sample, train and complete digits without knowing $Z$, then
# enclose $\log Z$ from both sides, and compare with mixtures of Gaussians, principal components and
# a small VAE: what does depth buy?
#
# The models are in `kgen/models/energy/` and `kgen/models/mixtures/`.

# %%
import inspect
import itertools
import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import keras
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit, logsumexp

import kgen
from kgen.models.energy.partition import by_annealing

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
EPOCHS, PARTS, SMALL, LARGE = (60, 10, 16, 64) if FULL else (1, 1, 4, 6)
BURN_IN = 1000 if FULL else 20  # Gibbs steps
GIBBS, STEPS = ((1, 10, 100, 1000), (1, 3, 10, 30, 100, 300)) if FULL else ((2,), (2, 4))
kgen.set_seed(0)

# %% [markdown]
# ## Three units
#
# A *restricted Boltzmann machine* (RBM; Smolensky 1986) has pixels $v$ and hidden units $h$, all of
# them 0 or 1. Its energy has a term for each unit and for each pair of a pixel and a hidden unit:
#
# $$ E(v, h) = -b \cdot v - c \cdot h - v W h, \qquad p(v, h) = e^{-E(v, h)} / Z $$
#
# Here are two pixels and one hidden unit that want to be equal: all 0 and all 1 have the energy 0.
# With eight states, $Z$ is a sum of eight numbers.

# %%
toy = kgen.RBM(image_shape=(1, 2, 1), hidden_units=1, centred=False)
states = np.array(list(itertools.product((0, 1), repeat=3)))  # two pixels, one hidden unit


def enumerated(strength):
    """E(v, h) and p(v, h) of the eight states, for weights of this strength."""
    toy.kernel.assign(np.full((2, 1), strength))
    toy.visible_bias.assign(np.full(2, -strength / 2))
    toy.hidden_bias.assign([-strength])
    kernel, visible_bias, hidden_bias, _ = toy.energy()
    v, h = states[:, :2], states[:, 2:]
    energies = -v @ visible_bias - h @ hidden_bias - np.sum(v @ kernel * h, axis=1)
    return energies, np.exp(-energies) / np.exp(-energies).sum()


for state, energy, probability in zip(states, *enumerated(2.0), strict=True):
    print(f"v = {state[:2]}, h = {state[2]}: E = {energy:.0f}, p = {probability:.3f}")

# %% [markdown]
# Within a layer there are no weights. So, given one layer, the units of the other are independent:
#
# $$ p(h_j = 1 \,|\, v) = \sigma\Big(c_j + \sum_i v_i W_{ij}\Big), \qquad
#    p(v_i = 1 \,|\, h) = \sigma\Big(b_i + \sum_j W_{ij} h_j\Big) $$
#
# *Gibbs sampling* draws the two layers in turn, and needs no $Z$. In the end its states are
# distributed as $p$. How soon? `toy.sample` runs chains, here 4000 from the image (0, 0). The
# distance to $p(v)$ is the *total variation*: 0 for equal distributions, 1 for disjoint ones.

# %%
for strength in (2.0, 8.0, 14.0):
    exact = enumerated(strength)[1].reshape(4, 2).sum(axis=1)  # p(v), summed over h
    distances = []
    for steps in GIBBS:
        pairs = toy.sample(4000, seed=steps, steps=steps).reshape(-1, 2)
        shares = np.bincount(pairs @ [2, 1], minlength=4) / len(pairs)
        distances.append(0.5 * np.abs(shares - exact).sum())
    print(f"W = {strength:.0f}: {np.round(distances, 3)} after {GIBBS} steps")

# %% [markdown]
# Weak weights forget the start in a few steps. Strong ones make two islands of low energy, and a
# chain waits long for a step from one to the other: with weights of 14, a hundred steps are too few
# and a thousand hardly enough.
#
# ## Free energy
#
# The sum over the hidden units has a closed form, as they are independent. The *free energy* $F$ of
# an image is cheap; what it lacks to a probability is one constant:
#
# $$ F(v) = -\log \sum_h e^{-E(v, h)} = -b \cdot v - \sum_j \log\big(1 + e^{c_j + (v W)_j}\big),
#    \qquad \log p(v) = -F(v) - \log Z $$

# %%
energies = enumerated(2.0)[0].reshape(4, 2)  # images, values of h
images = states[::2, :2].reshape(4, 1, 2, 1).astype("uint8")
print("by the sum:    ", np.round(-logsumexp(-energies, axis=1), 3))
print("by the formula:", np.round(toy.free_energy(images), 3))

# %% [markdown]
# ## Contrastive divergence
#
# The gradient of the log-likelihood has two parts: it lowers the free energy of the data, and
# raises that of the model's own samples:
#
# $$ \nabla \log p(v) = -\nabla F(v) + E_{v' \sim p} \, \nabla F(v') $$
#
# Such samples take long chains. *Contrastive divergence* (CD-$k$; Hinton 2002) starts the chains at
# the data and makes only $k$ steps. *Persistent* chains (Tieleman 2008) are never reset: they go on
# from one training step to the next, while the weights change slowly. The loss is
# $F(\text{data}) - F(\text{negative samples})$, and these are the negative samples:

# %%
print(inspect.getsource(kgen.RBM.negative_samples))

# %%
data = kgen.data.load("digits", binarize="static")  # 8x8 pixels, black or white
train, test = data.train, data.test
print(len(train), "images to train,", len(test), "to test")
kgen.pictures.grid(train.images[:20], data.levels, columns=10)

# %% [markdown]
# Sixteen hidden units have 65,536 states. A computer sums over them in a moment, so that the
# likelihood is exact and training can be watched.


# %%
def machine(hidden_units, persistent, rate):
    model = kgen.models.create("rbm", data, hidden_units=hidden_units, persistent=persistent)
    steps = EPOCHS * -(-len(train) // 64)
    falling = keras.optimizers.schedules.PolynomialDecay(rate, steps, end_learning_rate=rate / 50)
    model.compile(keras.optimizers.SGD(falling, momentum=0.5))
    return model


small = {"CD-1": machine(SMALL, False, 0.6), "persistent": machine(SMALL, True, 0.6)}
figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
for name, model in small.items():
    nats = {}
    for done in range(0, EPOCHS, EPOCHS // PARTS):
        epochs = {"initial_epoch": done, "epochs": done + EPOCHS // PARTS}
        terms = model.fit(train.images, batch_size=64, verbose=0, **epochs).history
        nats[epochs["epochs"]] = -model.log_prob(test.images).mean()
    axes.plot(*zip(*nats.items(), strict=True), "o-", label=name)
    print(f"{name}: {nats[EPOCHS]:.2f} nats per test image;", end=" ")
    print({term: round(values[-1], 1) for term, values in terms.items()})
axes.set(xlabel="epoch", ylabel="nats per test image")
axes.legend()
plt.show()

# %% [markdown]
# Both come to the same likelihood. The persistent chains are behind while the learning rate is
# high, as they cannot follow the weights; with the falling rate they catch up. The loss, which ends
# near 0, tells nothing of this, and the reconstructions end nearly equal, too.
#
# How good is a gradient of one step? For sixteen hidden units the model's expectation is a sum over
# their states. Here are the exact gradient and those of chains, for the weights $W$ of the machine
# that CD-1 has trained:


# %%
def gradients(model, steps):
    """The gradient of mean log p over W: exact, and by chains of Gibbs steps from the data."""
    kernel, visible_bias, hidden_bias, _ = model.energy()
    hidden = (np.arange(2**SMALL)[:, None] >> np.arange(SMALL) & 1).astype("float64")
    inputs = hidden @ kernel.T + visible_bias
    log_p = hidden @ hidden_bias + np.logaddexp(0, inputs).sum(axis=1)
    of_model = (expit(inputs) * np.exp(log_p - logsumexp(log_p))[:, None]).T @ hidden
    generator, v = np.random.default_rng(0), train.images.reshape(len(train), -1)
    of_data = v.T @ expit(v @ kernel + hidden_bias) / len(v)
    for _ in range(steps):
        h = generator.random((len(v), SMALL)) < expit(v @ kernel + hidden_bias)
        v = generator.random(v.shape) < expit(h @ kernel.T + visible_bias)
    of_chains = v.T @ expit(v @ kernel + hidden_bias) / len(v)
    return (of_data - of_model).ravel(), (of_data - of_chains).ravel()


for steps in (1, 10, 100):
    exact, found = gradients(small["CD-1"], steps)
    lengths = np.linalg.norm(exact), np.linalg.norm(found)
    print(f"CD-{steps}: length {lengths[1]:.2f}, exact {lengths[0]:.2f}, ", end="")
    print(f"cosine between the two {exact @ found / np.prod(lengths):.2f}")

# %% [markdown]
# CD-1 has come to rest, but not at a maximum of the likelihood: the exact gradient is not 0, and
# that of one step points elsewhere. More steps find it again, up to the noise of 1438 chains. On
# these digits that costs next to nothing. On MNIST, machines of 500 hidden units have 117.7 nats by
# CD-1 and 90.8 by persistent chains (see the records in the documentation).
#
# ## Filters and chains
#
# A larger machine, with persistent chains. The weights of a hidden unit are an image, its *filter*:
# white where it likes a white pixel, grey where it does not care.

# %%
large = machine(LARGE, persistent=True, rate=0.3)
large.fit(train.images, epochs=EPOCHS, batch_size=64, verbose=0)
pictures = large.pictures()
kgen.pictures.grid(pictures["filters"][:40], 2, columns=20)

# %% [markdown]
# Strokes, bright and dark. Next, each row is a chain, of which the probabilities of the pixels are
# shown, with 100 Gibbs steps between two images.

# %%
kgen.pictures.grid(pictures["chains"], 2)

# %% [markdown]
# Most are digits, and every hundred steps another one: these chains mix. Others do not, and then a
# row of this picture stays the same.
#
# ## log Z from both sides
#
# *Annealed importance sampling* (AIS; Salakhutdinov & Murray 2008) moves samples of independent
# pixels, whose $Z$ is known, to the model, by a Gibbs step at each of many *temperatures*. On its
# way each sample gathers a weight, and the mean weight estimates the ratio of the two $Z$ without
# bias. But the logarithm of a noisy mean is too small on average: AIS alone makes a model look
# better than it is. The same way in reverse, from samples of the model to independent pixels, errs
# to the other side (Burda, Grosse & Salakhutdinov 2014). Sixteen hidden units, for which the truth
# is known; 100 samples in each direction:

# %%
judge = small["persistent"]
chains = judge.sample(100, seed=0, steps=BURN_IN).reshape(100, -1)
found = [by_annealing(judge.energy(), chains, 0, np.linspace(0, 1, k + 1)) for k in STEPS]
exact = judge.log_partition().lower
print(f"exact log Z: {exact:.3f}")
for k, sides in zip(STEPS, found, strict=True):
    print(f"{k:>3} steps: {sides.lower:.3f} by AIS, {sides.upper:.3f} in reverse;", end=" ")
    print(f"weights as good as {sides.settings['effective_sample_size']:.0f} equal ones")

# %% [markdown]
# With 3 to 30 steps the truth is between the two. With 100 and more they agree up to the noise of
# 100 samples, and may change places. They are right on average only: with one step the weights are
# as good as two, and AIS comes out too large by chance. Look at this number before you believe one.
#
# The larger machine has $2^{64}$ states in either layer: nobody enumerates them. `log_partition`
# takes the 14,500 temperatures of the paper, both ways; `log_prob` gives either side, and by
# default the one that does not flatter.

# %%
print(large.log_partition())
for side in ("lower", "upper"):
    print(f"{side}: {-large.log_prob(test.images, side=side).mean():.3f} nats per test image")

# %% [markdown]
# The sides differ by 0.02 nats, no more than noise. For large models whose chains do not mix they
# can be far apart; and then the way in reverse starts from samples that are not the model's.
#
# ## Completion
#
# Hide any pixels: a chain keeps the known ones as they are and draws the others. Rows: test images,
# what the model is shown, two completions. Hidden are the right halves, then three pixels of four.

# %%
originals = test.images[:16]
mask = np.zeros((16, 8, 8), bool)
mask[:8, :, 4:] = True  # True: to be filled in
mask[8:] = np.random.default_rng(0).random((8, 8, 8)) < 0.75
hidden = np.where(mask[..., None], 0, originals)
completions = [large.complete(originals, mask, seed=seed, steps=BURN_IN) for seed in (0, 1)]
kgen.pictures.grid(np.stack([originals, hidden, *completions]), data.levels)

# %%
frequencies = (train.images.sum(axis=0) + 0.5) / (len(train) + 1)  # of white, for each pixel
guesses = np.random.default_rng(0).random(originals.shape) < frequencies
for name, images in (("completions", completions[0]), ("independent pixels", guesses)):
    print(f"{name}: {np.mean(images[mask] == originals[mask]):.0%} of the hidden pixels are right")

# %% [markdown]
# The strokes that are known go on, mostly to a digit, and not always to that of the original.
#
# ## What does depth buy?
#
# Is an energy worth its trouble? Two old models need no gradient. A *mixture of Gaussians* draws
# one of $K$ means and adds noise; EM fits it by two closed formulas in turn. With a diagonal
# covariance, pixels are independent given the component, and the probability of an image is exact.
# *Probabilistic PCA* (Tipping & Bishop 1999) is one Gaussian with a few directions of large
# variance; its parameters follow from the data in one step. For images it has a lower bound.
#
# Nats are per test image, bits per pixel; lower is better. First the black and white digits.


# %%
def fitted(name, data, epochs=1, batch_size=500, **settings):
    model = kgen.models.create(name, data, **settings)
    model.compile()
    model.fit(data.train.images, epochs=epochs, batch_size=batch_size, verbose=0)
    return model


def show(name, log_probs):
    nats, error = -log_probs.mean(), log_probs.std() / np.sqrt(len(log_probs))
    print(f"{name:<24}{nats:7.2f} +- {error:.2f} nats, {nats / np.log(2) / 64:.3f} bits")


rounds = {"epochs": 15 if FULL else 2}  # of EM
mixture = fitted("mixture_of_gaussians", data, components=30, **rounds)
guess = np.where(test.images == 1, frequencies, 1 - frequencies)
show("independent pixels", np.log(guess).sum(axis=(1, 2, 3)))
show("mixture of 30", mixture.log_prob(test.images))
show(f"RBM of {SMALL}, exact", judge.log_prob(test.images))
show(f"RBM of {LARGE}, lower side", large.log_prob(test.images))
kgen.pictures.grid(mixture.mean_items(), data.levels, columns=15)

# %% [markdown]
# One layer of 16 hidden units is better than thirty means, 64 units are a little better still. An
# RBM has binary pixels; so for the same digits in 17 grey levels, a VAE stands for depth. Its
# networks have one hidden layer each.

# %%
grey = kgen.data.load("digits")
greys = {
    "PCA of 16, a bound": fitted("pca", grey, latent_size=16),
    "mixture of 1": fitted("mixture_of_gaussians", grey, components=1, **rounds),
    "mixture of 30": fitted("mixture_of_gaussians", grey, components=30, **rounds),
    "VAE of 10, a bound": fitted("vae", grey, EPOCHS, 64, latent_size=10, hidden=(128,)),
}
for name, model in greys.items():
    show(name, model.log_prob(grey.test.images))

# %% [markdown]
# The mixture of 1 is the independent pixels of this table. PCA is behind even these: for one thing,
# it has one variance of noise for all pixels, also for those that are nearly always black. Thirty
# means gain 20 nats, and the VAE 11 more, though its figure is a bound: so much does depth buy.
#
# The two old models complete any part, too, and in closed form. Rows as above, but one completion
# by the mixture, and one by PCA.

# %%
originals = grey.test.images[:16]
hidden = np.where(mask[..., None], 0, originals)
names = ("mixture of 30", "PCA of 16, a bound")
rows = [greys[name].complete(originals, mask, seed=0) for name in names]
kgen.pictures.grid(np.stack([originals, hidden, *rows]), grey.levels)

# %% [markdown]
# ## What hidden units know
#
# A *linear probe* predicts the label of a digit by logistic regression from the probabilities of
# the hidden units, or from principal components: 63 of them tell nearly all that 64 pixels do.

# %%
probed = {f"RBM of {SMALL}": judge, f"RBM of {LARGE}": large}
probed |= {f"PCA of {size}": fitted("pca", data, latent_size=size) for size in (16, 63)}
for name, model in probed.items():
    print(f"{name}: {kgen.probe.linear_probe(model, train, test).accuracy:.1%} of the labels")

# %% [markdown]
# With 16 numbers the two are equal. More hidden units help, more components do not.
#
# ## Where to go next
#
# - MNIST: `python -m kgen.fit --model rbm --data binarized_mnist --set persistent=True`; then
#   `python -m kgen.evaluate runs/rbm-binarized_mnist` prints both sides.
# - A density of points: `kgen.data.load("rings")` and `mixture_of_gaussians`.
# - The other families on the same digits: `4_pixelcnn.py`, `5_glow.py`, `11_autoregressive.py`.
