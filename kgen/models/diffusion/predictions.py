"""What a diffusion network predicts of x_t = alpha x + sigma eps, and what follows from it.

    prediction   target                      image x                  noise eps
    noise        eps                         (x_t - sigma e) / alpha  e
    v            alpha eps - sigma x         alpha x_t - sigma v      sigma x_t + alpha v
    velocity     x - eps                     x_t + sigma u            x_t - alpha u
    EDM          (x - c_skip x_t) / c_out    c_skip x_t + c_out F     (x_t - x) / sigma

v needs alpha^2 + sigma^2 = 1, velocity alpha + sigma = 1, and EDM alpha = 1. All functions are
plain arithmetic, of arrays and tensors alike. `input_scale` is what the network's input is
multiplied with.
"""


class NoisePrediction:
    """The noise (Ho et al. 2020, arXiv:2006.11239, equation 14)."""

    def target(self, image, noise, alpha, sigma):
        return noise

    def image_and_noise(self, output, x, alpha, sigma):
        return (x - sigma * output) / alpha, output

    def input_scale(self, sigma):
        return 1.0


class VPrediction(NoisePrediction):
    """v (Salimans & Ho 2022, arXiv:2202.00512, appendix D); good where only noise is left, too."""

    def target(self, image, noise, alpha, sigma):
        return alpha * noise - sigma * image

    def image_and_noise(self, output, x, alpha, sigma):
        return alpha * x - sigma * output, sigma * x + alpha * output


class VelocityPrediction(NoisePrediction):
    """The velocity of a straight path (Lipman et al. 2022, arXiv:2210.02747)."""

    def target(self, image, noise, alpha, sigma):
        return image - noise

    def image_and_noise(self, output, x, alpha, sigma):
        return x + sigma * output, x - alpha * output


class EDMPrediction:
    """Preconditioning (Karras et al. 2022, arXiv:2206.00364, table 1).

    Input and target have variance 1 at every noise level, and so has the loss weight 1.

    Args:
        sigma_data: root mean square of the scaled pixels, a number or a scalar tensor.
    """

    def __init__(self, sigma_data):
        self.sigma_data = sigma_data

    def input_scale(self, sigma):  # c_in
        return (sigma**2 + self.sigma_data**2) ** -0.5

    def skip(self, sigma):  # c_skip
        return self.sigma_data**2 / (sigma**2 + self.sigma_data**2)

    def output_scale(self, sigma):  # c_out
        return sigma * self.sigma_data * self.input_scale(sigma)

    def target(self, image, noise, alpha, sigma):
        # (image - c_skip x_t) / c_out, without the division by a small sigma
        scale = self.input_scale(sigma)
        return scale * (sigma * image / self.sigma_data - self.sigma_data * noise)

    def image_and_noise(self, output, x, alpha, sigma):
        image = self.skip(sigma) * x + self.output_scale(sigma) * output
        # (x - image) / sigma, without the division by a small sigma
        scale = self.input_scale(sigma)
        return image, scale * (scale * sigma * x - self.sigma_data * output)
