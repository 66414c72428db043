# %% [markdown]
# # A space of sentences
#
# A language model draws a sentence word by word. It has no place where the sentence as a whole is
# decided. A *sentence VAE* (Bowman et al. 2015, arXiv:1511.06349) has one: a vector $z$, from which
# all words are decoded, so that sentences become points, with a way from each to any other. You
# will train a language model and a sentence VAE on a small language whose probabilities are known,
# compare their perplexities, see what becomes of $z$ when training does not protect it, and walk
# from one sentence to another. The models are in `kgen/models/language/`.

# %%
import os
import time

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import keras
import matplotlib.pyplot as plt
import numpy as np

import kgen

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
TRAIN, TEST, EPOCHS = (4000, 1000, 16) if FULL else (128, 40, 2)
FEATURES, LATENTS, DRAWS = (64, 8, 100) if FULL else (8, 2, 2)
BATCH = 64
kgen.set_seed(0)

# %% [markdown]
# ## A language
#
# Three scenes, each with its own words; one person or two, which decides the form of the verb; an
# adjective and a place, each in half of the sentences. Every choice is a throw of fair dice, so the
# probability of a sentence is known: the product of its choices.

# %%
SCENES = {  # who, does, what, how, where
    "sea": (
        *("sailor captain diver pirate", "want follow draw name", "boat wave storm whale"),
        *("old salty brave lonely", "on the water, at the harbour, below the bridge"),
    ),
    "kitchen": (
        *("cook baker waiter guest", "stir taste order burn", "soup bread cake sauce"),
        *("hungry busy famous clumsy", "in the kitchen, by the oven, over the fire"),
    ),
    "forest": (
        *("hunter ranger painter hiker", "climb measure mark admire", "oak hill path deer"),
        *("quiet tired young patient", "among the trees, near the cabin, behind the rocks"),
    ),
}
PARTS = ("scene", "number", "who", "does", "what", "how", "where")


def sentence_of(scene, several, who, does, what, how=None, where=None):
    *words, places = SCENES[scene]
    subjects, verbs, objects, adjectives = (part.split() for part in words)
    adjective = "" if how is None else f"{adjectives[how]} "
    place = "" if where is None else f" {places.split(', ')[where]}"
    start = f"two {adjective}{subjects[who]}s" if several else f"the {adjective}{subjects[who]}"
    return f"{start} {verbs[does]}{'' if several else 's'} the {objects[what]}{place}"


def drawn(random):
    """(a sentence, its negative log-probability in nats)."""
    choices = [list(SCENES)[random.integers(3)], random.integers(2), *random.integers(4, size=3)]
    how = random.integers(4) if random.random() < 0.5 else None
    where = random.integers(3) if random.random() < 0.5 else None
    nats = np.log([3, 2, 4, 4, 4]).sum()
    nats += np.log(2) if how is None else np.log(8)
    nats += np.log(2) if where is None else np.log(6)
    return sentence_of(*choices, how, where), nats


random = np.random.default_rng(0)
texts, true_nats = map(np.array, zip(*(drawn(random) for _ in range(TRAIN + TEST)), strict=True))
print("\n".join(texts[:5]))

# %% [markdown]
# A model sees numbers. `Tokens.of` numbers the words, the most frequent first; 0 is no word and
# fills up short sentences, 1 stands for words that are not known. The words travel with the model.

# %%
space = kgen.spaces.Tokens.of(texts[:TRAIN])
train, test = space.encode(texts[:TRAIN]), space.encode(texts[TRAIN:])
new = ~np.isin(texts[TRAIN:], texts[:TRAIN])
print(space, "- the first ones:", ", ".join(space.words[:6]))
print(train[0], "is:", space.decode(train[:1])[0])
print(f"{new.mean():.0%} of the test sentences are not among the training sentences")

# %% [markdown]
# ## A language model
#
# No assumption is needed for
#
# $$ \log p(x) = \sum_i \log p(x_i \,|\, x_1, \dots, x_{i-1}) $$
#
# where the last factor is that of the end. The *perplexity*, $\exp(-\sum \log p \, / \text{ number
# of words and ends})$, is how many equally likely words there might as well be at each place.
# `language_model` computes the factors with a recurrent network (a GRU), or with a transformer.


# %%
def perplexity(nats):
    """Of the test sentences, from their negative log-probabilities in nats."""
    return np.exp(nats.sum() / space.symbols(test).sum())


def trained(name, **settings):
    """A model, and its history of training and of the test sentences."""
    kgen.set_seed(0)
    settings |= {"features": FEATURES, "dropout": 0.1}
    model = getattr(kgen, name)(space.words, space.length, **settings)
    model.compile(keras.optimizers.Adam(3e-3, global_clipnorm=5.0))
    started = time.process_time()
    settings = {"epochs": EPOCHS, "batch_size": BATCH, "verbose": 0}
    history = model.fit(train, validation_data=test, **settings).history
    seconds = time.process_time() - started
    print(f"{name}: {model.count_params():,} weights, {seconds:.0f} s of a processor core")
    return model, history


recurrent, _ = trained("LanguageModel")
transformer, _ = trained("LanguageModel", network="transformer")

# %%
counts = np.bincount(train[train > 0], minlength=space.vocabulary_size).astype("float64")
counts[0] = len(train)  # the ends
frequency = np.maximum(counts, 0.5) / counts.sum()
symbols = [row[:size] for row, size in zip(test, space.symbols(test), strict=True)]
found = {
    "words at random": np.array([-np.log(frequency[row]).sum() for row in symbols]),
    "recurrent": -recurrent.log_prob(test),
    "transformer": -transformer.log_prob(test),
    "the truth": true_nats[TRAIN:],
}
for name, nats in found.items():
    print(f"{name:<16} {nats.mean():5.2f} nats per sentence, perplexity {perplexity(nats):6.3f}")

# %% [markdown]
# "Words at random" knows the frequency of each word, and nothing else. No model can have a lower
# perplexity than the truth, except by luck with the test sentences; both networks come near it.
#
# Samples can be checked, too: this language has only so many sentences.

# %%
LANGUAGE = {
    sentence_of(scene, *choices, how, where): (scene, *choices, how, where)
    for scene in SCENES
    for choices in np.ndindex(2, 4, 4, 4)
    for how in (None, *range(4))
    for where in (None, *range(3))
}


def samples_of(model, count, **settings):
    return space.decode(model.sample(count, seed=0, **settings))


def show_samples(name, model):
    """Print the share of samples that belong to the language, and three of them."""
    texts = samples_of(model, 500 if FULL else 20)
    share = np.mean([text in LANGUAGE for text in texts])
    print(f"{name}: {share:.0%} of {len(texts)} samples are sentences of the language, such as")
    print("   ", "\n    ".join(texts[:3]))


print(f"{len(LANGUAGE):,} sentences")
show_samples("recurrent", recurrent)
show_samples("transformer", transformer)

# %% [markdown]
# ## A latent vector
#
# The sentence VAE adds a vector $z \sim N(0, I)$ to every input of the same recurrent decoder. An
# encoder reads a sentence and says which $z$ it may come from, $q(z|x)$. Training maximises a lower
# bound of the log-probability:
#
# $$ \log p(x) \ge E_{q(z|x)} \big[ \log p(x|z) \big]
#    - w \, \text{KL} \big( q(z|x) \,\|\, N(0, I) \big), \qquad w = 1 $$
#
# The KL term is what $z$ says about the sentence, in nats, and it has to be paid for. The decoder
# can do without: it knows the words before. While $z$ still says nothing useful, the cheapest is a
# KL of 0, and then $z$ never will (*posterior collapse*). Three remedies:
#
# - *annealing*: $w$ rises from 0 to 1, so that $z$ is free of charge at first;
# - *word dropout*: a part of the words before is hidden from the decoder, which has to ask $z$;
# - *free bits*: the first tenths of a nat of each latent cost nothing.
#
# Two models: one without any, one with all of them.

# %%
STEPS = EPOCHS * (TRAIN // BATCH)
NONE = {"annealing": "none", "word_dropout": 0.0, "free_bits": 0.0}
ALL = {"annealing": "linear", "annealing_steps": STEPS // 2, "word_dropout": 0.3, "free_bits": 0.25}
bare, bare_history = trained("SentenceVAE", latent_size=LATENTS, **NONE)
vae, history = trained("SentenceVAE", latent_size=LATENTS, **ALL)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
for name, values in (("no remedy", bare_history), ("three remedies", history)):
    axes[0].plot(range(1, EPOCHS + 1), values["val_kl"], "o-", label=name)
    axes[1].plot(range(1, EPOCHS + 1), values["val_negative_elbo"], "o-", label=name)
axes[0].set(xlabel="epoch", ylabel="KL, nats per test sentence")
axes[1].set(xlabel="epoch", ylabel="bound, nats per test sentence")
axes[1].axhline(found["recurrent"].mean(), color="grey", linestyle=":", label="language model")
for panel in axes:
    panel.legend()
plt.show()

# %% [markdown]
# ## Perplexity, side by side
#
# The bound of one draw of $z$ is loose; that of many (`samples`), weighted, is closer.
# The KL term is an upper bound of the mutual information of $x$ and $z$.

# %%
for name, model in (("no remedy", bare), ("three remedies", vae)):
    nats = -model.log_prob(test, samples=DRAWS, seed=0)
    elbo = -model.log_prob(test, samples=1, seed=0)
    figures = kgen.metrics.posterior_figures(*model.encode(test))
    print(
        f"{name:<14} perplexity at most {perplexity(nats):.3f} ({perplexity(elbo):.3f} by 1 draw), "
        f"KL {figures['kl']:.2f}, information {figures['mutual_information']:.2f} nats, "
        f"{figures['active_units']} of {LATENTS} latents active"
    )
print(f"{'language model':<14} perplexity {perplexity(found['recurrent']):.3f}")

# %% [markdown]
# Without a remedy $z$ says nothing, and what is left is the language model, with its perplexity.
# With the remedies $z$ says more than 2 nats, and the plain language model has the better
# perplexity. So it usually is: the VAE does not predict words better, but has a space of sentences.
#
# ## What the vector knows
#
# Decode the mean of $q(z|x)$, the most probable word at each place.


# %%
def kept_by(model):
    """{part: share of the test sentences whose reconstruction says the same}."""
    pairs = zip(space.decode(test), space.decode(model.reconstruct(test)), strict=True)
    pairs = [(LANGUAGE[text], LANGUAGE.get(rebuilt)) for text, rebuilt in pairs]
    same = np.array(
        [
            [b is not None and a[i] == b[i] and (i < 2 or a[0] == b[0]) for i in range(len(PARTS))]
            for a, b in pairs
        ]
    )
    return dict(zip(PARTS, same.mean(axis=0), strict=True))


for name, model in (("no remedy", bare), ("three remedies", vae)):
    shares = ", ".join(f"{part} {share:.0%}" for part, share in kept_by(model).items())
    print(f"{name}: {len(set(space.decode(model.reconstruct(test))))} reconstructions;", shares)

# %% [markdown]
# Scene and number, which decide the most words, are kept in all sentences, and the place in nearly
# all. Who does what is kept as often as by chance, one time in four.

# %%
for row in test[:4, None]:
    print(*space.decode(np.concatenate([row, vae.reconstruct(row)])), sep="\n    -> ")

# %% [markdown]
# ## Samples
#
# Draw $z$, then words. With `temperature=0` only $z$ is drawn, and each word is the most probable
# one: what differs between these sentences is what $z$ says.

# %%
show_samples("sentence VAE", vae)
print(f"{len(set(samples_of(vae, 200, temperature=0.0)))} different ones of 200 at temperature 0")
print("   ", "\n    ".join(samples_of(vae, 4, temperature=0.0)))

# %% [markdown]
# ## From one sentence to another
#
# Encode two sentences, take points on the line between them, and decode each. A language model can
# not do this: it has no points.

# %%
first = ["two hungry cooks stir the soup", "the old sailor wants the whale"]
second = ["the ranger climbs the hill near the cabin", "two old sailors want the whale"]
ways = kgen.latent.interpolate(vae, first, second, steps=7)
for start, end, way in zip(first, second, ways, strict=True):
    print(f"{start} ... {end}")
    for text in space.decode(way):
        print(f"    {text}{'' if text in LANGUAGE else '   (no sentence of the language)'}")

# %% [markdown]
# From the cooks to the ranger, each point between is a sentence of the language, too; words change
# a few at a time within a scene, and all at once between two scenes.
#
# ## Where to go next
#
# - English: `python -m kgen.fit --model sentence_vae --data wordnet_examples --epochs 10`, and
#   `--model language_model` beside it; `python -m kgen.evaluate` prints both perplexities.
# - Your own: a `.txt` file, one sentence a line, `--data my/sentences.txt`.
# - Cyclical annealing: `annealing="cyclical"`, with `annealing_steps` the length of a cycle.
# - Images with latents: `2_vae.py`.
