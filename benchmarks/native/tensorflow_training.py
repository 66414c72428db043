"""What the TensorFlow baselines share: layers of variables, Adam, its rate."""

import math

import tensorflow as tf


class Layer(tf.Module):
    """A kernel and, unless False, a bias.

    Attributes:
        weights: its variables, kernel first.
    """

    def __init__(self, shape, bias=True, filters=None, initial=None):
        super().__init__()
        initial = initial or glorot
        self.kernel = tf.Variable(initial(shape))
        self.bias = tf.Variable(tf.zeros(filters or shape[-1])) if bias else None
        self.weights = [self.kernel] if self.bias is None else [self.kernel, self.bias]

    def add_bias(self, x):
        return x if self.bias is None else tf.nn.bias_add(x, self.bias)


class Dense(Layer):
    def __call__(self, x):
        return self.add_bias(tf.matmul(x, self.kernel))


class Conv(Layer):
    """`mask` multiplies the kernel."""

    mask = None

    def __call__(self, x, strides=1):
        kernel = self.kernel if self.mask is None else self.kernel * self.mask
        return self.add_bias(tf.nn.conv2d(x, kernel, strides, "SAME"))


def weights_of(layers):
    return [variable for layer in layers for variable in layer.weights]


def glorot(shape):
    *taps, inputs, outputs = shape
    limit = math.sqrt(6.0 / (math.prod(taps) * (inputs + outputs)))
    return tf.random.uniform(shape, -limit, limit)


def assign(variables, arrays):
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def scaled(images, levels):
    """Levels 0..levels-1 as floats from -1 to 1."""
    return tf.cast(images, "float32") * (2.0 / (levels - 1)) - 1.0


class Adam(tf.Module):
    """By TensorFlow's own fused operation (Kingma & Ba 2014, the form that ends section 2).

    Args:
        variables: to train.
        rate: a function of the steps done, a float32 tensor.
    """

    def __init__(self, variables, rate, beta1=0.9, beta2=0.999, epsilon=1e-7):
        super().__init__()
        self.trained, self.rate = variables, rate
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.count = tf.Variable(0.0)
        self.means = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
        self.squares = [tf.Variable(tf.zeros_like(variable)) for variable in variables]

    def apply(self, gradients):
        rate, count = self.rate(self.count), self.count + 1.0
        slots = zip(self.trained, self.means, self.squares, gradients, strict=True)
        for variable, mean, square, gradient in slots:
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=self.beta1**count,
                beta2_power=self.beta2**count,
                lr=rate,
                beta1=self.beta1,
                beta2=self.beta2,
                epsilon=self.epsilon,
                grad=gradient,
            )
        self.count.assign(count)


def cosine(start, steps, end):
    """The rate: half a cosine from `start` down to `end` times it."""

    def rate(step):
        done = tf.minimum(step / steps, 1.0)
        return start * (end + (1.0 - end) * 0.5 * (1.0 + tf.cos(math.pi * done)))

    return rate


def synchronise():
    tf.test.experimental.sync_devices()
