"""Dropout whose noise is seeded, saved in checkpoints and recorded on PyTorch."""

import keras
from keras import ops

from kgen import backend
from kgen.bounds import Fraction, checked


@keras.saving.register_keras_serializable("kgen")
class Dropout(keras.layers.Layer):
    """Dropout: in training, sets a random fraction `rate` of the inputs to 0.

    The others are divided by 1 - rate, so that the mean of each output is its input. At inference
    the outputs are the inputs.

    The noise comes from a seed generator: `kgen.set_seed` repeats it, checkpoints hold its state,
    and training steps with it can be recorded on PyTorch. `keras.layers.Dropout` on PyTorch draws
    from PyTorch's own generator, which no checkpoint holds; with a seed, it cannot be recorded.

    Args:
        rate: fraction of the inputs that is set to 0, from 0 to below 1.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: A Simple Way to
    Prevent Neural Networks from Overfitting", JMLR 15, 2014.
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = checked("rate", rate, Fraction)
        self.seed_generator = keras.random.SeedGenerator()
        self.supports_masking = True
        self.built = True

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        kept = backend.uniform(ops.shape(inputs), self.seed_generator) >= self.rate
        return inputs * ops.cast(kept, inputs.dtype) / (1.0 - self.rate)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}
