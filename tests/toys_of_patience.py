"""Models whose validation loss falls to a known epoch, and then rises."""

import keras
import numpy as np

import kgen


@keras.saving.register_keras_serializable("toys")
class Passing(kgen.ImageModel):
    """A place on a line: each training step moves it on by about 0.1, past the best one.

    The validation loss is its squared distance from the best place.
    """

    def __init__(self, image_shape, levels, best: float = 0.95, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.best = best
        self.place = self.add_weight(shape=(), initializer="zeros", name="place")

    def recommended_optimizer(self):
        return keras.optimizers.SGD(0.1)

    def objective(self, images, condition, training):
        speed = 1.0 + 0.001 * self.normal(())
        return (-speed * self.place if training else (self.place - self.best) ** 2), {}

    def sample(self, count=None, condition=None, seed=None):
        count, _ = self.to_sample(count, condition, noise=1)
        return np.zeros((count, *self.image_shape), "uint8")


@keras.saving.register_keras_serializable("toys")
class PassingTwice(Passing):
    """Two stages, each of which passes a best place."""

    def __init__(self, image_shape, levels, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.second = Passing(self.image_shape, levels, best=0.65)

    def stages(self):
        return [
            ("first", self, lambda split: split),
            ("second", self.second, lambda split: split),
        ]
