"""The methods that a model of some capability has, as they are in a model without it."""

from typing import ClassVar

from kgen.capabilities import require


class Lacking:
    """Base class of models: a method of a capability that a model lacks says which models have it.

    Attributes:
        likelihood: "exact", "bound", "estimate" or None: what `log_prob` returns, if anything.
        conditional: whether it can be given a condition: labels, where it takes `classes`.
        encodes: whether it has `encode`, and `latents`, one point of its latent space per image.
        decodes: whether it has `decode`, the images of latents; with `encodes`, `reconstruct`.
        can_sample: whether there are new images to draw; else `sample` says why not.
        stochastic: whether samples have noise; else `sample` is a function of the condition, and
            the seed changes nothing.
        can_complete: whether it has `complete`.
        has_sampler: whether it has `sampler`.
        picture_arguments: of `sample`, for pictures and `sampler`: the modes that papers show.
    """

    likelihood = None
    conditional = False
    encodes = False
    decodes = False
    can_sample = True
    stochastic = True
    can_complete = False
    has_sampler = False
    picture_arguments: ClassVar[dict] = {}

    def log_prob(self, images, *args, **kwargs):
        """log p(x) in nats per image, (n,)."""
        self._lacks("likelihood", "log_prob")

    def encode(self, images, *args, **kwargs):
        """What the model knows of the latents of images."""
        self._lacks("encodes", "encode")

    def latents(self, images, *args, **kwargs):
        """One point in the latent space per image, (n, latent_size)."""
        self._lacks("encodes", "latents")

    def decode(self, latents, *args, **kwargs):
        """The images of latents."""
        self._lacks("decodes", "decode")

    def reconstruct(self, images, *args, **kwargs):
        """Images decoded from the latents of images."""
        require(self, "encodes", "decodes")
        raise NotImplementedError(f"{type(self).__name__} defines no reconstruct.")

    def complete(self, images, mask, *args, **kwargs):
        """Images with the pixels drawn anew where `mask` is True."""
        self._lacks("can_complete", "complete")

    def sampler(self):
        """The Keras model that `sample` uses, to be saved or exported without the rest.

        It maps latents z ~ N(0, I), float32 (n, latent_size), in a conditional model the list of
        latents and condition, such as int32 labels (n,), to the images that `sample` returns with
        `picture_arguments`, uint8 (n, height, width, channels) of 0..levels-1. It shares its
        weights with this model; with `ema` it has a copy of the averaged ones. Its formats:

        - `sampler.save("sampler.keras")`, on every backend. `keras.saving.load_model` reads it
          after `import kgen`, for some of its layers are kgen's.
        - `sampler.export("folder")`, on TensorFlow and JAX (with TensorFlow installed): a
          SavedModel, which needs neither Keras nor kgen. `loaded = tf.saved_model.load("folder")`,
          then `loaded.serve(latents)`, of any number of rows.
        - `torch.export.export(sampler, (latents,))`, on PyTorch: a program without Keras, for as
          many rows as these latents have.
        """
        self._lacks("has_sampler", "sampler")

    def _lacks(self, capability, method):
        require(self, capability)
        raise NotImplementedError(f"{type(self).__name__} defines no {method}.")
