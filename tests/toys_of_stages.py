"""A model of two stages, whose second one is trained on what the first one learned."""

import keras
import numpy as np
from keras import ops
from toys import IndependentPixels

import kgen
from kgen.data import Split
from kgen.inference import in_chunks, inference


@keras.saving.register_keras_serializable("toys")
class TwoStages(kgen.ImageModel):
    """The mean image; then which pixels of an image are above it, each by itself."""

    encodes = True
    decodes = True

    def __init__(self, image_shape, levels, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.mean = self.add_weight(shape=self.image_shape, initializer="zeros", name="mean")
        self.prior = IndependentPixels(self.image_shape, 2)

    def stages(self):
        return [("mean", self, lambda split: split), ("prior", self.prior, self.above)]

    def above(self, split):
        """The split of binary images, 1 where a pixel is above the mean."""
        return Split(self.latents(split.x))

    def recommended_optimizer(self):
        return keras.optimizers.SGD(0.1, momentum=0.9)

    def objective(self, images, condition, training):
        noise = 0.01 * self.normal(self.image_shape)
        difference = self.mean - ops.mean(self.scale(images), axis=0) + noise
        return 0.5 * ops.sum(difference**2), {}

    def latents(self, images, condition=None):
        return in_chunks(self._above, self.checked_items(images))

    encode = latents

    def decode(self, latents, condition=None):
        return in_chunks(self._images_of, np.asarray(latents))

    def reconstruct(self, images, condition=None):
        return self.decode(self.latents(images))

    def sample(self, count=None, condition=None, seed=None):
        return self.decode(self.prior.sample(count, seed=seed))

    @inference
    def _above(self, images):
        return ops.cast(self.scale(images) > self.mean, "uint8")

    @inference
    def _images_of(self, latents):
        return self.to_levels(self.mean + 0.5 * (2.0 * ops.cast(latents, "float32") - 1.0))
