"""Images from noise and noise from images: what diffusion models do after training."""

import functools

import keras
import numpy as np
from keras import ops

from kgen.bounds import Number, Repeats
from kgen.inference import checked_latents, in_chunks, inference, iterated
from kgen.models.diffusion import samplers


class Generation:
    """Mixin of `Diffusion`: its inference, on top of `denoise`, `times` and the path."""

    def generate(self, start, condition, schedule, sampler, seed=None, noisy=None, known=None):
        """Run a sampler: float32 like `start`, the values at the schedule's last point.

        Args:
            start: (n, height, width, channels), at the schedule's first point.
            condition: checked, of n rows, or None.
            schedule: see `samplers.schedule_of`.
            sampler: a key of `samplers.STEPS`.
            seed: of noise that is added in the steps.
            noisy: whether the steps add noise; None for the sampler's own kind.
            known: {"values", "mask"}: outside of the mask pixels keep to the path of known values.
        """
        guidance = float(schedule[0, -1])
        noisy = sampler in samplers.NOISY if noisy is None else noisy
        block = functools.partial(
            self._block, sampler=sampler, mode=_mode(guidance, condition is not None)
        )
        given = {"condition": condition} if known is None else {"condition": condition, **known}
        draw = "standard_normal" if noisy else None
        return iterated(block, start, schedule, seed, given, draw)

    def sampled(self, count, condition, seed, sampler, schedule, noisy=None):
        """Images (count, height, width, channels) of levels, along a schedule."""
        count, condition = self.to_sample(count, condition, noise=2 * self.latent_size)
        start = self.first_noise(count, seed)
        values = self.generate(start, condition, schedule, sampler, seed, noisy)
        return in_chunks(self._images, values)

    def first_noise(self, count, seed):
        """The noise that sampling begins with, float32 (count, height, width, channels)."""
        noise = np.random.default_rng(seed).standard_normal((count, *self.image_shape), "float32")
        return np.float32(self.prior_deviation) * noise

    def encode(self, images, condition=None, steps: Number = 50):
        """Latents of images: the noise from which deterministic sampling returns to them.

        The probability flow is followed from the image to the noise (Song et al. 2020,
        arXiv:2010.02502, section 4.3). The error of `decode(encode(images))` falls with `steps`.

        Args:
            images: uint8 (n, height, width, channels).
            condition: n rows, in a conditional model.
            steps: of Heun's method.

        Returns:
            float32 (n, height * width * channels), about standard normal.
        """
        images = self.checked_items(images)
        condition = self.checked_condition(condition, len(images))
        values = in_chunks(self._values, images)
        schedule = samplers.schedule_of(self.noise_path, self.inversion_times(steps))
        x = self.generate(values, condition, schedule, "heun")
        return x.reshape(len(x), -1) / np.float32(self.prior_deviation)

    latents = encode

    def decode(self, latents, condition=None, steps: Number = 50):
        """The images of latents (n, latent_size): deterministic sampling by Heun's method."""
        x = checked_latents(latents, self.latent_size).reshape(-1, *self.image_shape)
        condition = self.checked_condition(condition, len(x))
        schedule = samplers.schedule_of(self.noise_path, self.times(steps))
        x = self.generate(np.float32(self.prior_deviation) * x, condition, schedule, "heun")
        return in_chunks(self._images, x)

    def reconstruct(self, images, condition=None, steps: Number = 50):
        """Encode and decode: the images again, up to the error of the steps."""
        return self.decode(self.encode(images, condition, steps), condition, steps)

    def complete(
        self,
        images,
        mask,
        condition=None,
        seed=None,
        steps: Number = 25,
        repeats: Repeats = 10,
    ):
        """Fill in images: the pixels where `mask` is True are drawn anew, given all others.

        After each step the known pixels are replaced by known values with the noise of that time,
        and each step is taken `repeats` times, so that the two parts fit (Lugmayr et al. 2022,
        arXiv:2201.09865). The draw is approximate; more repeats make it better.

        Args:
            images: uint8 (n, height, width, channels); values where `mask` is True are ignored.
            mask: bool (height, width) or (n, height, width).
            condition: for a conditional model, n rows.
            seed: equal seeds give equal images.
            steps: of DDIM.
            repeats: of each step.

        Raises:
            KgenError: for images or a mask of another dtype or shape.
        """
        known, mask = self.checked_known(images, mask)
        condition = self.checked_condition(condition, len(known))
        schedule = samplers.repeated_schedule(self.noise_path, self.times(steps), repeats)
        given = {"values": in_chunks(self._values, known), "mask": mask[..., None]}
        x = self.first_noise(len(known), seed)
        x = self.generate(x, condition, schedule, "ddim", seed, noisy=True, known=given)
        return np.where(mask[..., None], in_chunks(self._images, x), known)

    @inference
    def _values(self, images):
        return self.values_of(images)

    @inference
    def _images(self, values):
        return self.images_of(values)

    @inference
    def _block(self, x, schedule, noise, given, *, sampler, mode):
        """Some steps of a sampler, see `iterated`."""
        embedded = self.embedded_for(given["condition"], mode)
        denoise = functools.partial(self.denoise, embedded=embedded, guidance=schedule[0, -1])
        step = samplers.STEPS[sampler]
        if "mask" in given:
            step = samplers.keeping(step, given["values"], given["mask"])
        return samplers.run(step, denoise, self.noise_path, x, schedule, noise)

    def embedded_for(self, condition, mode):
        """The embedding that `output` takes for a mode of guidance, see `_mode`."""
        if mode == "none":
            return None
        count = ops.shape(keras.tree.flatten(condition)[0])[:1]
        free = self.condition_embedding(condition, ops.ones(count, "bool"))
        free = ops.cast(free, "float32")
        if mode == "free":
            return free
        given = self.embed(condition)
        return given if mode == "given" else (given, free)


def _mode(guidance, conditional):
    """ "none", "given", "free" (of the condition) or "both"."""
    if not conditional:
        return "none"
    return {1.0: "given", 0.0: "free"}.get(guidance, "both")
