"""Spectral normalisation: layers whose kernel, as a matrix, has the largest singular value 1.

Takeru Miyato, Toshiki Kataoka, Masanori Koyama, Yuichi Yoshida: Spectral Normalization for
Generative Adversarial Networks. 2018, arXiv:1802.05957.

A dense layer becomes 1-Lipschitz; a k x k convolution of stride s at most ceil(k / s)-Lipschitz.
"""

import keras
from keras import ops

EPSILON = 1e-12


@keras.saving.register_keras_serializable("kgen")
class SpectralNormalization(keras.layers.Layer):
    """A dense or convolutional layer with kernel W / sigma(W), sigma its largest singular value.

    W is the kernel as a matrix (inputs, filters). Each call in training makes one power iteration
    (in algorithm 1: each step), which updates the singular vectors. The gradient passes through
    sigma, not through the vectors.

    Unlike `keras.layers.SpectralNormalization`, it does not write the normalised kernel back to the
    trained one, so that the gradient is that of the paper.

    Args:
        layer: a linear layer without bias and activation, as these would be divided, too.
        use_bias: whether a bias is added after the division.
    """

    def __init__(self, layer, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer
        self.use_bias = use_bias

    def build(self, input_shape):
        if not self.layer.built:  # it is built when Keras has read it from a file
            self.layer.build(input_shape)
        filters = self.matrix().shape[-1]
        self.vector = self.add_weight(
            shape=(filters, 1),
            initializer="ones",
            trainable=False,
            dtype="float32",
            autocast=False,
            name="vector",
        )
        if self.use_bias:
            self.bias = self.add_weight(shape=(filters,), initializer="zeros", name="bias")
        self.built = True

    def call(self, inputs, training=False):
        outputs = self.layer(inputs)
        scale = self.largest_singular_value(training) + EPSILON  # sigma(0) = 0
        outputs = outputs / ops.cast(scale, outputs.dtype)
        return outputs + ops.cast(self.bias, outputs.dtype) if self.use_bias else outputs

    def matrix(self):
        """The kernel as a matrix W, float32 (inputs, filters)."""
        kernel = ops.cast(ops.convert_to_tensor(self.layer.kernel), "float32")
        if isinstance(self.layer, keras.layers.Conv2DTranspose):  # (h, w, filters, inputs)
            kernel = ops.swapaxes(kernel, -1, -2)
        return ops.reshape(kernel, (-1, kernel.shape[-1]))

    def largest_singular_value(self, training):
        """sigma(W) as estimated by the power iterations so far; `training` makes one more."""
        matrix = self.matrix()
        right = unit(ops.convert_to_tensor(self.vector))  # (filters, 1)
        fixed = ops.stop_gradient(matrix)
        left = unit(fixed @ right)  # (inputs, 1)
        if training:
            right = unit(ops.transpose(fixed) @ left)
            self.vector.assign(right)
        return ops.sum(left * (matrix @ right))

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer, "use_bias": self.use_bias}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config.pop("layer"))
        return cls(layer, **config)


def unit(vector):
    """The vector divided by its norm."""
    return vector / (ops.sqrt(ops.sum(vector**2)) + EPSILON)
