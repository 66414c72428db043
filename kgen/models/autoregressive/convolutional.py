"""Autoregressive models of masked convolutions.

The network computes the parameters of all pixels in one pass (training), or of one pixel from
cached activations (sampling, `cached_convolutions.py`). A model writes its network once for both,
as calls `apply(layer, x)`.
"""

from kgen.inference import inference
from kgen.layers import shifted_down
from kgen.models.autoregressive.base import Autoregressive
from kgen.models.autoregressive.cached_convolutions import CachedConvolutions, FullPass


class ConvolutionalAutoregressive(Autoregressive):
    """Base class of autoregressive models of masked convolutions.

    A subclass builds its layers and defines `network`. The attribute `first` is the layer that sees
    the image itself in the pixel's row. A subclass defines `vertical_stack`, too, if layers other
    than `MaskedConv2D` see the rows above, and `embed` if it has a condition.
    """

    def __init__(self, image_shape, levels, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.channels = self.image_shape[-1]
        self.parameters_per_pixel = (
            self.channels * self.likelihood_distribution.parameters_per_value
        )

    # === What a subclass defines ===

    def network(self, apply, x, embedded):
        """The parameters of scaled pixels (..., channels): float32 (..., parameters_per_pixel)."""
        raise NotImplementedError(f"{type(self).__name__} defines no network.")

    def vertical_stack(self, apply, x, embedded):
        """Features of the rows up to and including each row: {name: (..., width, filters)}.

        `network` finds those of the row above in `apply.vertical_features`.
        """
        return {}

    def embed(self, condition=None):
        """An embedding of the condition, in any structure; computed once for all pixels."""
        return None

    # === The two passes ===

    def parameters_of(self, images, condition=None):
        return self.parameters_given(self.scale(images), self.embed(condition))

    def parameters_given(self, x, embedded):
        """As `parameters_of`, from scaled images."""
        stack = self.vertical_stack(FullPass(), x, embedded)
        vertical_features = {name: shifted_down(rows) for name, rows in stack.items()}
        return self.network(FullPass(vertical_features), x, embedded)

    @inference(loop=True)
    def _complete(self, images, mask, uniform, condition=None):
        """Draw row by row, and in each row pixel by pixel, from cached activations."""
        return CachedConvolutions(self, self.embed(condition)).complete(images, mask, uniform)


def built(layer, channels):
    """The layer, built for images of `channels` channels."""
    layer.build((None, None, None, channels))
    return layer
