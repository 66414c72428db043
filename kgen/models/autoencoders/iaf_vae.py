"""VAE with an inverse autoregressive flow as posterior.

Diederik P. Kingma, Tim Salimans, Rafal Jozefowicz, Xi Chen, Ilya Sutskever, Max Welling: Improving
Variational Inference with Inverse Autoregressive Flow. 2016, arXiv:1606.04934.

A variational autoencoder whose posterior is no diagonal Gaussian. The encoder gives mean, variance
and a context h. A draw of the Gaussian goes through steps of an autoregressive network (algorithm 1
and equations 13 and 14):

    z <- sigmoid(s) z + (1 - sigmoid(s)) m,   (m, s) = network(z, h)

Entry i of m and s sees the entries of z before i, so that the Jacobian is triangular and

    log q(z|x) = log N(z_0; mean, variance) - sum over steps and i of log sigmoid(s_i)

The entries are reversed between two steps. The bound is the VAE's; its KL divergence has no closed
form and is estimated by the draw:

    log p(x) >= E_q(z|x)[ log p(x|z) + log p(z) - log q(z|x) ]

Deviations: those of the `vae`, whose dense or convolutional networks replace the paper's ResNet; no
free bits; the network of a step is a masked dense network of ELU units.
"""

import keras
import numpy as np
from keras import ops

from kgen.bounds import ImageShape, Layers, Levels, Repeats
from kgen.distributions import normal_log_prob, standard_normal_log_prob
from kgen.inference import in_chunks, inference, repeated
from kgen.layers import MaskedDense
from kgen.models.autoencoders.vae import VAE

FORGET_BIAS = 2.0  # added to s: a new step changes z little (section 4)


@keras.saving.register_keras_serializable("kgen")
class IAFVAE(VAE):
    """VAE with an inverse autoregressive flow as posterior (Kingma et al. 2016).

    Diederik P. Kingma et al.: Improving Variational Inference with Inverse Autoregressive Flow.
    2016, arXiv:1606.04934. Maximises the evidence lower bound with a posterior of steps
    z <- sigmoid(s) z + (1 - sigmoid(s)) m on a Gaussian draw z_0 (equations 13 and 14):

        log q(z|x) = log N(z_0; mean, variance) - sum over steps and i of log sigmoid(s_i)

    `encode` gives the mean and log variance of z_0 and the context of the steps. `latents` gives
    the mean of z_0 after all steps.

    Args:
        flow_steps: number of steps.
        flow_hidden: units of each hidden layer of a step's network.
        kwargs: see `VAE`.

    Metrics: `loss` = `reconstruction` + `kl`, all in nats per image; `kl` is estimated by a draw.
    """

    small_arguments = {**VAE.small_arguments, "flow_steps": 2, "flow_hidden": (9,)}
    has_normal_posterior = False
    outputs_per_latent = 3  # mean, log variance and context

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        flow_steps: Repeats = 4,
        flow_hidden: Layers = (320, 320),
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.flow_steps = flow_steps
        self.flow_hidden = flow_hidden
        self.flow = [FlowStep(self.latent_size, flow_hidden) for _ in range(flow_steps)]

    def objective(self, images, condition, training):
        noise = self.normal((1, ops.shape(images)[0], self.latent_size))
        latents, log_posterior = self.posterior_draws(images, condition, noise, training)
        parameters = self.apply_decoder(latents[0], condition, training)
        reconstruction = -ops.mean(self.likelihood_distribution.log_prob(images, parameters))
        kl = ops.mean(log_posterior - standard_normal_log_prob(latents))
        return reconstruction + kl, {"reconstruction": reconstruction, "kl": kl}

    def posterior_draws(self, images, condition, noise, training=False):
        mean, log_variance, context = self.posterior(images, condition, training)  # (n, d)
        first = mean + ops.exp(0.5 * log_variance) * noise  # (k, n, d)
        flat = ops.reshape(first, (-1, self.latent_size))
        latents, log_det = self.flowed(flat, repeated(context, ops.shape(noise)[0]))
        log_posterior = normal_log_prob(first, mean, log_variance)
        log_det = ops.reshape(log_det, ops.shape(log_posterior))
        return ops.reshape(latents, ops.shape(first)), log_posterior - log_det

    def flowed(self, latents, context):
        """Latents (n, d) after all steps, and the log-determinant of the Jacobian, (n,)."""
        log_det = 0.0
        for number, step in enumerate(self.flow):
            if number:
                latents = ops.flip(latents, axis=-1)
            latents, added = step(latents, context)
            log_det = log_det + added
        return latents, log_det

    def latents(self, images, condition=None):
        """The means of z_0 after all steps, float32 (n, latent_size)."""
        images = self.checked_items(images)
        return in_chunks(self._latents, images, self.checked_condition(condition, len(images)))

    @inference
    def _latents(self, images, condition=None):
        mean, _, context = self.posterior(images, condition)
        return self.flowed(mean, context)[0]


class FlowStep(keras.layers.Layer):
    """One step of an inverse autoregressive flow: (z, h), each (n, d) -> (z, log-determinant).

    Args:
        size: d.
        hidden: units of each hidden layer.
    """

    def __init__(self, size, hidden, **kwargs):
        super().__init__(dtype="float32", **kwargs)  # a likelihood's part
        self.hidden = [MaskedDense(units, dtype="float32") for units in hidden]
        self.shift_and_scale = MaskedDense(2 * size, strict=True, dtype="float32")
        order = np.arange(1, size + 1)
        # The context has degree 0: all units see it.
        degrees = [np.append(order, np.zeros_like(order))]
        degrees += [np.arange(units) % size for units in hidden]
        degrees.append(np.tile(order, 2))
        layers = [*self.hidden, self.shift_and_scale]
        for layer, inputs, outputs in zip(layers, degrees[:-1], degrees[1:], strict=True):
            layer.build((None, len(inputs)))
            layer.set_degrees(inputs[None], outputs[None])
        self.built = True

    def call(self, latents, context):
        x = ops.concatenate([latents, context], axis=-1)
        for layer in self.hidden:
            x = ops.elu(layer(x))
        shift, scale = ops.split(self.shift_and_scale(x), 2, axis=-1)
        scale = scale + FORGET_BIAS
        gate = ops.sigmoid(scale)
        latents = gate * latents + (1.0 - gate) * shift
        return latents, ops.sum(ops.log_sigmoid(scale), axis=-1)
