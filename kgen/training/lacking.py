"""The methods that a model of some capability has, as they are in a model without it."""

from kgen.capabilities import require


class Lacking:
    """Base class of models: a method of a capability that a model lacks says which models have it.

    Attributes:
        likelihood: "exact", "bound" or None: what `log_prob` returns, if anything.
        conditional: whether labels can enter the model: it then takes an argument `classes`.
        has_latents: whether it has `encode`, `latents`, `decode` and `reconstruct`.
        can_sample: whether there are new images to draw; else `sample` says why not.
        can_complete: whether it has `complete`.
        has_sampler: whether it has `sampler`.
    """

    likelihood = None
    conditional = False
    has_latents = False
    can_sample = True
    can_complete = False
    has_sampler = False

    def log_prob(self, images, *args, **kwargs):
        """log p(x) in nats per image, (n,)."""
        self._lacks("likelihood", "log_prob")

    def encode(self, images, *args, **kwargs):
        """What the model knows of the latents of images."""
        self._lacks("has_latents", "encode")

    def latents(self, images, *args, **kwargs):
        """One point in the latent space per image, (n, latent_size)."""
        self._lacks("has_latents", "latents")

    def decode(self, latents, *args, **kwargs):
        """The images of latents."""
        self._lacks("has_latents", "decode")

    def reconstruct(self, images, *args, **kwargs):
        """Images decoded from the latents of images."""
        self._lacks("has_latents", "reconstruct")

    def complete(self, images, mask, *args, **kwargs):
        """Images with the pixels drawn anew where `mask` is True."""
        self._lacks("can_complete", "complete")

    def sampler(self):
        """The Keras model that `sample` uses, to be saved or exported without the rest.

        It maps latents z ~ N(0, I), float32 (n, latent_size), in a conditional model the list of
        latents and labels, int32 (n,), to the images that `sample` returns, uint8 (n, height,
        width, channels) of 0..levels-1. It shares its weights with this model, the averaged ones
        where `sample` uses those. Its formats:

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
