"""Sentence VAE: a variational autoencoder of sentences.

Samuel R. Bowman, Luke Vilnis, Oriol Vinyals, Andrew M. Dai, Rafal Jozefowicz, Samy Bengio:
Generating Sentences from a Continuous Space. 2015, arXiv:1511.06349.

A decoder predicts each word from the words before it and a latent vector z ~ N(0, I). An encoder, a
GRU whose last state is read, gives q(z|x) = N(mean, variance). Training maximises the lower bound
(section 2.2)

    log p(x) >= E_q(z|x)[ sum over i of log p(x_i | x_1, ..., x_i-1, z) ] - w KL( q(z|x) || p(z) )

The decoder can predict words well without z, so that the KL term falls to 0 and z says nothing
(posterior collapse). Remedies (section 3.1, and later work):

- annealing: w rises from 0 to 1, once ("linear") or over and over, in the first half of each cycle
  ("cyclical"; Fu et al. 2019, arXiv:1903.10145);
- word dropout: a fraction of the words before is hidden from the decoder;
- free bits: each latent's KL, the mean over a batch, costs nothing below a threshold (Kingma et
  al. 2016, arXiv:1606.04934, appendix C.8).

`LanguageModel` is the same decoder without z. It usually has the better perplexity: what the VAE
adds is the space of sentences.

Deviations: GRUs instead of LSTMs; z enters at every step instead of only the first (its vector is
added to the word's, which equals a concatenation); sentences of up to `length` words; Adam.
"""

from typing import ClassVar, Literal

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import Count, Fraction, Number, Temperature, Weight, Words
from kgen.distributions import normal_kl_between, normal_log_prob, standard_normal_log_prob
from kgen.inference import checked_latents, importance_weighted_bound, in_chunks, inference
from kgen.layers import RecurrentTextEncoder
from kgen.layers.attention import dense
from kgen.models.language.base import TextModel


class LastState(RecurrentTextEncoder):
    """A dense layer on the state of the GRU after the last word, as in the paper; no variance 1."""

    def call(self, tokens):
        states = self.network(self.words(tokens), ops.not_equal(tokens, 0))
        return self.last(states[:, -1])


@keras.saving.register_keras_serializable("kgen")
class SentenceVAE(TextModel):
    """Variational autoencoder of sentences (Bowman et al. 2015).

    Samuel R. Bowman et al.: Generating Sentences from a Continuous Space. 2015, arXiv:1511.06349.
    Maximises the lower bound (section 2.2), with z ~ N(0, I) and a weight w that rises to 1:

        log p(x) >= E_q(z|x)[ log p(x|z) ] - w KL( q(z|x) || p(z) )

    Args:
        words: that are known, see `kgen.spaces.Tokens`.
        length: most words of a sentence.
        latent_size: dimensions of the latent z.
        word_dropout: fraction of the words before that the decoder reads as unknown in training.
        annealing: of w: "linear" from 0 to 1 over `annealing_steps`; "cyclical", in the first half
            of every `annealing_steps`; "none".
        annealing_steps: see `annealing`.
        free_bits: nats of each latent's KL, the mean over a batch, that cost nothing in training.
        kwargs: see `TextModel`.

    Metrics, in nats per sentence: `loss`, the objective, in validation `negative_elbo`;
    `reconstruction`; `kl`; `negative_elbo` = `reconstruction` + `kl`.

    Examples:
        >>> model = kgen.SentenceVAE(words=("a", "red", "blue", "seven"), length=4, features=8)
        >>> rows = kgen.latent.interpolate(model, ["a red seven"], ["a blue seven"], steps=3)
        >>> rows.shape, len(model.space.decode(rows[0]))
        ((1, 3, 4), 3)
    """

    metric_names = ("loss", "reconstruction", "kl", "negative_elbo")
    progress_metric = "negative_elbo"
    likelihood = "bound"
    encodes = True
    decodes = True
    has_normal_posterior = True
    small_arguments: ClassVar[dict] = {
        **{"words": tuple("abcdefgh"), "length": 6, "features": 16, "dropout": 0.0},
        **{"latent_size": 4, "word_dropout": 0.5, "annealing": "cyclical"},
        **{"annealing_steps": 40, "free_bits": 0.2},
    }

    def __init__(
        self,
        words: Words,
        length: Count,
        *,
        latent_size: Count = 16,
        word_dropout: Fraction = 0.3,
        annealing: Literal["linear", "cyclical", "none"] = "linear",
        annealing_steps: Number = 4000,
        free_bits: Weight = 0.25,
        **kwargs,
    ):
        super().__init__(words, length, **kwargs)
        self.latent_size, self.word_dropout, self.free_bits = latent_size, word_dropout, free_bits
        self.annealing, self.annealing_steps = annealing, annealing_steps
        self.encoder = LastState(self.space.vocabulary_size, length, self.features)
        self.posterior_layer = dense(self.features, 2 * latent_size, dtype="float32")
        self.latent_layer = dense(latent_size, self.features)

    # === Training ===

    def objective(self, tokens, condition, training):
        mean, log_variance = self.posterior(tokens)  # (n, latent_size) each
        latents = mean + ops.exp(0.5 * log_variance) * self.normal(ops.shape(mean))
        dropped = self.word_dropout if training else 0.0
        log_probs = self.log_probs(tokens, self.context_of(latents), training, dropped)
        reconstruction = -ops.mean(log_probs)
        kls = ops.mean(normal_kl_between(mean, log_variance, 0.0, 0.0), axis=0)  # (latent_size,)
        kl = ops.sum(kls)
        elbo = reconstruction + kl
        terms = {"reconstruction": reconstruction, "kl": kl, "negative_elbo": elbo}
        if not training:
            return elbo, terms
        return reconstruction + self.kl_weight() * ops.sum(ops.maximum(kls, self.free_bits)), terms

    def posterior(self, tokens):
        """Mean and log variance of q(z|x), float32 (n, latent_size) each."""
        outputs = self.posterior_layer(ops.tanh(self.encoder(tokens)))
        return ops.split(outputs, 2, axis=-1)

    def context_of(self, latents):
        return self.latent_layer(latents)

    def kl_weight(self):
        """The weight w of the KL term in this step."""
        if self.annealing == "none":
            return ops.ones(())
        progress = self.step / self.annealing_steps
        if self.annealing == "cyclical":
            progress = 2.0 * ops.mod(progress, 1.0)
        return ops.minimum(progress, 1.0)

    # === Inference ===

    def encode(self, tokens, condition=None):
        """Mean and log variance of q(z|x) for sentences, float32 (n, latent_size) each.

        Args:
            tokens: sentences, as strings or int32 (n, length).
            condition: None.
        """
        tokens = self.checked_items(tokens)
        self.checked_condition(condition, len(tokens))
        return tuple(in_chunks(self._posterior, tokens))

    def latents(self, tokens, condition=None):
        """The posterior means of sentences, float32 (n, latent_size)."""
        return self.encode(tokens, condition)[0]

    def decode(self, latents, condition=None):
        """Sentences of latents, int32 (n, length): the most probable known word at each place."""
        latents = checked_latents(latents, self.latent_size)
        self.checked_condition(condition, len(latents))
        return self._sentences(latents, np.zeros((len(latents), self.length), "float32"), 0.0)

    def reconstruct(self, tokens, condition=None):
        """Encode and decode sentences; returns int32 (n, length)."""
        return self.decode(self.latents(tokens, condition))

    def sample(self, count=None, condition=None, seed=None, temperature: Temperature = 1.0):
        """`count` sentences decoded from latents z ~ N(0, I), int32 (count, length).

        Args:
            count, condition, seed: see `GenerativeModel.sample`.
            temperature: divides the logits of each word; 1 draws x ~ p(x|z), 0 takes the most
                probable known word at each place. Equal seeds give equal z.
        """
        temperature = self.sampling_arguments(temperature=temperature)["temperature"]
        count, _ = self.to_sample(count, condition, noise=self.latent_size + self.length)
        generator = np.random.default_rng(seed)
        latents = generator.standard_normal((count, self.latent_size), "float32")
        uniform = generator.random((count, self.length), "float32")
        return self._sentences(latents, uniform, temperature)

    def log_prob(self, tokens, condition=None, samples=1, seed=None):
        """The importance weighted lower bound of log p(x) in nats per sentence, (n,).

        See `VAE.log_prob`: for `samples` = 1 an unbiased estimate of the ELBO; it rises with it.
        """
        tokens = self.checked_items(tokens)
        self.checked_condition(condition, len(tokens))
        generator = np.random.default_rng(seed)

        def noise(samples, texts):
            return generator.standard_normal((samples, texts, self.latent_size), "float32")

        return importance_weighted_bound(self._log_weights, samples, noise, tokens)

    def _sentences(self, latents, uniform, temperature):
        def drawn(latents, uniform):
            return self._drawn(uniform, latents, temperature=temperature)

        return in_chunks(drawn, latents, uniform)

    @inference
    def _posterior(self, tokens):
        return self.posterior(tokens)

    @inference
    def _log_weights(self, tokens, noise, condition=None):
        """log( p(x|z) p(z) / q(z|x) ), (k, n), one draw at a time: each has many logits."""
        mean, log_variance = self.posterior(tokens)

        def log_weight(carry, noise):
            latents = mean + ops.exp(0.5 * log_variance) * noise
            log_prior = standard_normal_log_prob(latents)
            log_posterior = normal_log_prob(latents, mean, log_variance)
            log_probs = self.log_probs(tokens, self.context_of(latents))
            return carry, log_probs + log_prior - log_posterior

        return backend.scan(log_weight, ops.zeros(()), noise)[1]
