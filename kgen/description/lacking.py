"""Default methods of a model without a capability: they raise and name the models that have it."""

from typing import ClassVar

from kgen.capabilities import require


class Lacking:
    """Base class of models: declares their capabilities.

    Each method here belongs to a capability. In a model without it, the method raises a KgenError
    that names the models that have it.

    Attributes:
        likelihood: "exact", "bound", "estimate" or None: the kind of value `log_prob` returns. For
            an estimate, `log_partition()` gives log Z from both sides.
        conditional: whether it takes a condition (labels, if it takes `classes`).
        encodes: whether it has `encode` and `latents` (one latent vector per image).
        encodes_alone: whether its latents are those of the image alone, although it is conditional.
        has_normal_posterior: whether `encode` returns (mean, log variance) of a normal posterior;
            evaluations then measure the use of the latents.
        decodes: whether it has `decode` (latents to images); with `encodes`, also `reconstruct`.
        can_sample: whether it can draw new images; if not, `sample` raises and says why.
        stochastic: whether samples are random; if not, `sample` is a function of the condition and
            ignores the seed.
        can_complete: whether it has `complete` (inpainting).
        has_sampler: whether it has `sampler`.
        picture_arguments: arguments of `sample` for pictures and `sampler`, as in the papers.
        likelihood_images: images of which an evaluation computes the likelihood unless told
            otherwise; None for all that are compared.
        likelihood_samples: samples or draws of a bound in an evaluation unless told otherwise.
        short_run_epochs: epochs that `kgen.fit` trains unless told otherwise; None for as many as
            make a short run of steps.
    """

    likelihood = None
    conditional = False
    encodes = False
    encodes_alone = False
    has_normal_posterior = False
    decodes = False
    can_sample = True
    stochastic = True
    can_complete = False
    has_sampler = False
    picture_arguments: ClassVar[dict] = {}
    likelihood_images = None
    likelihood_samples = 10
    short_run_epochs = None

    def log_prob(self, images, *args, **kwargs):
        """log p(x) in nats per image, an array (n,)."""
        self._lacks("likelihood", "log_prob")

    def encode(self, images, *args, **kwargs):
        """The parameters of the latents of images, as the model defines them."""
        self._lacks("encodes", "encode")

    def latents(self, images, *args, **kwargs):
        """One latent vector per image, (n, latent_size)."""
        self._lacks("encodes", "latents")

    def decode(self, latents, *args, **kwargs):
        """Images decoded from latents."""
        self._lacks("decodes", "decode")

    def reconstruct(self, images, *args, **kwargs):
        """Images decoded from the latents of images."""
        require(self, "encodes", "decodes")
        raise NotImplementedError(f"{type(self).__name__} defines no reconstruct.")

    def complete(self, images, mask, *args, **kwargs):
        """Inpainting: images whose pixels are drawn anew where `mask` is True."""
        self._lacks("can_complete", "complete")

    def pictures(self):
        """{name: images} that show what was learned, such as filters; {} by default.

        Images are floats in [0, 1], (n, height, width, channels) or (rows, columns, height, width,
        channels). `kgen.fit` draws them beside the samples; `kgen.pictures.save_grid` with two
        levels does so, too.
        """
        return {}

    def sampler(self):
        """The generator alone, as a Keras model to save or export.

        Its input is latents z ~ N(0, I), float32 (n, latent_size); in a conditional model, the list
        of latents and condition, such as int32 labels (n,). Its output is the images that `sample`
        returns with `picture_arguments`: uint8 (n, height, width, channels), 0..levels-1. It shares
        its weights with this model; with `ema` it has a copy of the averaged weights. Formats:

        - `sampler.save("sampler.keras")`, on every backend. Import kgen before
          `keras.saving.load_model`: some of its layers are kgen's.
        - `sampler.export("folder")`, on TensorFlow and JAX (with TensorFlow installed): a
          SavedModel, which needs neither Keras nor kgen. Load it by
          `loaded = tf.saved_model.load("folder")`, call `loaded.serve(latents)` (any number of
          rows).
        - `torch.export.export(sampler, (latents,))`, on PyTorch: a program without Keras, for the
          number of rows of these latents.
        """
        self._lacks("has_sampler", "sampler")

    def _lacks(self, capability, method):
        require(self, capability)
        raise NotImplementedError(f"{type(self).__name__} defines no {method}.")
