"""Language model: a recurrent network, or a transformer.

Tomas Mikolov, Martin Karafiat, Lukas Burget, Jan Cernocky, Sanjeev Khudanpur: Recurrent Neural
Network Based Language Model. Interspeech 2010.
Ashish Vaswani et al.: Attention Is All You Need. 2017, arXiv:1706.03762.

The probability of a text is a product over its words and its end, each given the words before:

    log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1)

The perplexity of texts is exp(-sum of log p / number of words and ends).

Deviations: a GRU instead of the simple recurrent network, dropout (arXiv:1409.2329), Adam. The
transformer has its norms before each part, and no warm-up.
"""

import keras
import numpy as np
from keras import ops

from kgen.bounds import Temperature
from kgen.inference import in_chunks, inference
from kgen.models.language.base import TEXTS_PER_CHUNK, TextModel


@keras.saving.register_keras_serializable("kgen")
class LanguageModel(TextModel):
    """Language model, a recurrent network (Mikolov et al. 2010) or a transformer.

    Tomas Mikolov et al.: Recurrent Neural Network Based Language Model. 2010; Ashish Vaswani et
    al.: Attention Is All You Need. 2017, arXiv:1706.03762. Maximises the exact log-likelihood:

        log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1)

    Args:
        words: that are known, see `kgen.spaces.Tokens`.
        length: most words of a text.
        kwargs: see `TextModel`.

    Metrics: `loss`, the negative log-likelihood in nats per text, its end included.

    Examples:
        >>> model = kgen.LanguageModel(words=("a", "red", "seven"), length=4, features=8)
        >>> model.sample(2, seed=0).shape
        (2, 4)
        >>> model.log_prob(["a red seven"]).shape
        (1,)
    """

    likelihood = "exact"
    small_arguments = {
        **{"words": tuple("abcdefgh"), "length": 6, "features": 8, "blocks": 2, "heads": 2},
        **{"network": "transformer", "dropout": 0.1},
    }

    def objective(self, tokens, condition, training):
        return -ops.mean(self.log_probs(tokens, training=training)), {}

    def log_prob(self, tokens, condition=None):
        """log p(x) in nats per text, exact, (n,).

        Args:
            tokens: texts, as strings or int32 (n, length).
            condition: None.
        """
        tokens = self.checked_items(tokens)
        self.checked_condition(condition, len(tokens))
        return in_chunks(self._log_prob, tokens, size=TEXTS_PER_CHUNK).astype("float64")

    def sample(self, count=None, condition=None, seed=None, temperature: Temperature = 1.0):
        """`count` texts, int32 (count, length); `model.space.decode` makes strings of them.

        Args:
            count, condition, seed: see `GenerativeModel.sample`.
            temperature: divides the logits of each word; 1 draws x ~ p(x), 0 takes the most
                probable known word at each place.
        """
        given = self.sampling_arguments(temperature=temperature)
        count, _ = self.to_sample(count, condition, noise=self.length)
        uniform = np.random.default_rng(seed).random((count, self.length), "float32")
        return in_chunks(lambda part: self._drawn(part, **given), uniform)

    @inference
    def _log_prob(self, tokens):
        return self.log_probs(tokens)
