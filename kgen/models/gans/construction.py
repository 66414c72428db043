"""How the options of a GAN become its networks."""

from kgen.errors import KgenError
from kgen.models.gans import networks


class GANNetworks:
    """Mixin of `GANBase`: builds G and D from its arguments.

    Attributes:
        batch_normalised_discriminator: whether D has batch normalisation; "conv" only.
        discriminator_has_bias: whether the layer that gives the logit has a bias.
        conditional_generator: whether G's normalisation layers are given a vector.
    """

    batch_normalised_discriminator = True
    discriminator_has_bias = True
    conditional_generator = False

    def check_shape(self):
        """Raise KgenError if the architecture does not fit the images."""
        height, width, channels = self.image_shape
        fits = min(height, width) >= 8 and max(height, width) <= 64 and channels in (1, 3)
        if self.architecture != "dense" and not fits:
            raise KgenError(
                "Expected images from 8x8 to 64x64 with 1 or 3 channels for architecture "
                f"{self.architecture!r}, received {height}x{width} with {channels}: resize them "
                "(size=, mode=), or use 'dense'."
            )

    def build_generator(self, further_latents=0):
        latents = (self.latent_size + further_latents,)
        return networks.network(self.generator_layers(), latents, "generator")

    def build_discriminator(self, further_channels=0):
        height, width, channels = self.image_shape
        inputs = (height, width, channels + further_channels)
        chain = [*self.feature_layers(), self.logit_layer()]
        return networks.network(chain, inputs, "discriminator")

    def generator_layers(self):
        """The layers of G, a list: latents to images."""
        settings = self.conditional_generator, self.generator_spectral_normalization
        if self.architecture == "dense":
            return networks.dense_generator(self.image_shape, self.generator_units, *settings)
        convolutional = networks.residual_generator
        if self.architecture == "conv":
            convolutional = networks.convolutional_generator
        return convolutional(self.image_shape, self.base_channels, *settings)

    def feature_layers(self):
        """The layers of D but the last, a list: images to features (n, k)."""
        spectral, deviation = self.spectral_normalization, self.minibatch_deviation
        if self.architecture == "dense":
            return networks.dense_features(self.discriminator_units, spectral, deviation)
        sizes = self.image_shape, self.base_channels
        if self.architecture == "resnet":
            return networks.residual_features(*sizes, spectral, deviation)
        # R1 and spectral normalisation constrain the map from one image to its logit; batch
        # normalisation would make that map depend on the batch, so it is left out.
        normalised = self.batch_normalised_discriminator and not (self.r1_weight or spectral)
        return networks.convolutional_features(*sizes, normalised, spectral, deviation)

    def logit_layer(self):
        """The last layer of D: features (n, k) to the logit (n, 1)."""
        use_bias, spectral = self.discriminator_has_bias, self.spectral_normalization
        return networks.logit_layer(self.architecture, use_bias, spectral)
