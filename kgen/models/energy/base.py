"""`BoltzmannMachine`: what a trained machine of two layers of binary units does."""

import hashlib
from typing import ClassVar, Literal

import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import ImageShape, Levels, Number
from kgen.errors import KgenError
from kgen.models.energy.partition import Energy, log_partition
from kgen.training import ImageModel, in_chunks, inference, iterated

# The picture of chains: their number, the moments shown of each, and the Gibbs steps between two.
PICTURED, MOMENTS, STEPS_BETWEEN = 10, 10, 100


class BoltzmannMachine(ImageModel):
    """Base class of machines of binary pixels v and binary hidden units h.

    A subclass defines `hidden_inputs`, `visible_inputs` and `energy_parameters`, and has the
    attributes `latent_size` (the number of hidden units) and `chain_states`.

    Attributes:
        chain_states: uint8 variable (chains, pixels), states of Gibbs chains near samples of the
            machine.
    """

    likelihood = "estimate"
    encodes = True
    can_complete = True
    sampling = "iterative"
    picture_arguments: ClassVar[dict] = {"mode": "median"}

    def __init__(self, image_shape: ImageShape, levels: Levels, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        if levels != 2:
            raise KgenError(
                f"Expected binary images (levels=2), received levels={levels}: load binary images, "
                "such as binarized_mnist or mnist:static."
            )

    # === What a subclass defines ===

    def hidden_inputs(self, visible):
        """The logits of p(h | v), (n, latent_size), of float32 v (n, pixels)."""
        raise NotImplementedError(f"{type(self).__name__} defines no hidden_inputs.")

    def visible_inputs(self, hidden):
        """The logits of p(v | h), (n, pixels), of float32 h (n, latent_size)."""
        raise NotImplementedError(f"{type(self).__name__} defines no visible_inputs.")

    def energy_parameters(self):
        """The fields of `kgen.models.energy.partition.Energy`, as tensors."""
        raise NotImplementedError(f"{type(self).__name__} defines no energy_parameters.")

    # === What its training uses ===

    def flat(self, images):
        """Images of 0 and 1 as float32 (n, pixels)."""
        return ops.reshape(ops.cast(images, "float32"), (-1, self.space.dimensions))

    def drawn(self, logits):
        """Draws of 0 and 1, float32, new at every call."""
        return ops.cast(self.uniform(ops.shape(logits)) < ops.sigmoid(logits), "float32")

    # === Likelihood ===

    def energy(self):
        """The current parameters of E(v, h), as `kgen.models.energy.partition.Energy`."""
        return Energy(*(part.astype("float64") for part in self._energy_parameters()))

    def free_energy(self, images):
        """F(v) of uint8 images, in nats, float64 (n,): log p(v) = -F(v) - log Z."""
        images, energy = self.checked_items(images), self.energy()
        return in_chunks(lambda part: energy.free_energy(self._flat(part, "float64")), images)

    def log_partition(self, seed=0):
        """log Z from both sides, a `kgen.models.energy.partition.Partition`.

        Exact for up to 20 pixels or hidden units. Otherwise it takes minutes: 14,500 temperatures
        in each direction. It is kept until the weights change.

        Args:
            seed: of the annealing runs.
        """
        energy, chains = self.energy(), ops.convert_to_numpy(self.chain_states)
        digest = hashlib.sha256(repr(seed).encode())
        for array in (*energy, chains):
            digest.update(np.ascontiguousarray(array))
        kept = self.__dict__.setdefault("partitions", {})  # not an attribute, which Keras tracks
        if digest.hexdigest() not in kept:
            kept.clear()
            kept[digest.hexdigest()] = log_partition(energy, chains, seed)
        return kept[digest.hexdigest()]

    def log_prob(self, images, condition=None, side: Literal["lower", "upper"] = "lower"):
        """An estimate of log p(x) in nats per image, float64 (n,), from one side.

        Args:
            images: uint8 (n, height, width, channels).
            condition: None.
            side: "lower" takes log Z from reverse annealing: on average, log p(x) comes out too
                small. "upper" takes it from annealed importance sampling, as papers do: on average,
                log p(x) comes out too large. See `log_partition`.
        """
        images = self.checked_items(images)
        self.checked_condition(condition, len(images))
        partition = self.log_partition()
        log_z = partition.upper if side == "lower" else partition.lower
        return -self.free_energy(images) - log_z

    # === Latents ===

    def encode(self, images, condition=None):
        """The probabilities p(h = 1 | v) of uint8 images, float32 (n, latent_size)."""
        images = self.checked_items(images)
        self.checked_condition(condition, len(images))
        return in_chunks(self._encode, images)

    latents = encode

    def reconstruct(self, images, condition=None):
        """The more probable value of each pixel given the hidden probabilities of images, uint8."""
        return self._medians(self.encode(images, condition))

    def _medians(self, hidden):
        return (in_chunks(self._visible, hidden) > 0.5).astype(self.space.dtype)

    # === Gibbs chains ===

    def sample(
        self,
        count=None,
        condition=None,
        seed=None,
        steps: Number = 1000,
        mode: Literal["draw", "median"] = "draw",
    ):
        """`count` images at the ends of Gibbs chains, uint8.

        The chains start at random `chain_states`. They mix slowly: most keep the kind of image that
        they start from for thousands of steps.

        Args:
            count, condition, seed: see `GenerativeModel.sample`.
            steps: Gibbs steps of each chain (its burn-in).
            mode: "draw" draws the pixels of the last step. "median" takes the more probable value
                of each, given the hidden units of the last step, as papers do in figures.
        """
        arguments = self.sampling_arguments(steps=steps, mode=mode)
        count, _ = self.to_sample(count, condition, noise=self.space.dimensions)
        units = self._gibbs(self._starts(count, seed), arguments["steps"], seed)
        if arguments["mode"] == "median":
            return self._medians(units[:, self.space.dimensions :])
        return self._images(units)

    def complete(self, images, mask, condition=None, seed=None, steps: Number = 1000):
        """Fill in images: the pixels where `mask` is True are drawn given all others.

        Args:
            images, mask: see `ImageModel.checked_known`.
            condition, seed: as of `sample`.
            steps: Gibbs steps of each chain, in which the known pixels stay as they are.
        """
        steps = self.sampling_arguments(steps=steps)["steps"]
        known, mask = self.checked_known(images, mask)
        self.checked_condition(condition, len(known))
        known = self._flat(known, "float32")
        hidden = np.repeat(mask, self.image_shape[-1], axis=-1).reshape(known.shape)
        starts = self._starts(len(known), seed)
        starts[:, : known.shape[1]] = np.where(hidden, starts[:, : known.shape[1]], known)
        return self._images(self._gibbs(starts, steps, seed, {"known": known, "hidden": hidden}))

    def _flat(self, images, dtype):
        return images.reshape(len(images), -1).astype(dtype)

    def _images(self, units):
        pixels = units[:, : self.space.dimensions]
        return pixels.reshape(-1, *self.image_shape).astype(self.space.dtype)

    def _starts(self, count, seed):
        """States (count, pixels + latent_size): random `chain_states`, and hidden units of 0."""
        chains = ops.convert_to_numpy(self.chain_states)
        chosen = np.random.default_rng(seed).integers(len(chains), size=count)
        return np.pad(chains[chosen].astype("float32"), [(0, 0), (0, self.latent_size)])

    def _gibbs(self, units, steps, seed, clamped=None):
        """Units (n, pixels + latent_size) after Gibbs steps."""
        return iterated(self._block, units, np.ones(steps, "float32"), seed, clamped, draw="random")

    @inference(loop=True)
    def _block(self, units, schedule, uniform, clamped):
        """One Gibbs step for each entry of `uniform`."""
        pixels = self.space.dimensions

        def step(units, uniform):
            logits = self.hidden_inputs(units[:, :pixels])
            hidden = ops.cast(uniform[:, pixels:] < ops.sigmoid(logits), "float32")
            logits = self.visible_inputs(hidden)
            visible = ops.cast(uniform[:, :pixels] < ops.sigmoid(logits), "float32")
            if clamped is not None:
                visible = ops.where(clamped["hidden"], visible, clamped["known"])
            return ops.concatenate([visible, hidden], axis=1), ()

        return backend.scan(step, units, uniform)[0]

    # === Pictures ===

    def filters(self):
        """The weights of each hidden unit as an image, float32 (latent_size, height, width, c)."""
        kernel = self.energy().kernel.T
        return kernel.reshape(-1, *self.image_shape).astype("float32")

    def pictures(self):
        """Filters, where grey is 0; and chains, each a row, with 100 Gibbs steps between images.

        Of a chain the probabilities of the pixels are shown. Rows that do not change show that the
        chains do not mix.
        """
        filters, pixels = self.filters(), self.space.dimensions
        chains = np.resize(ops.convert_to_numpy(self.chain_states), (PICTURED, pixels))
        units = np.pad(chains.astype("float32"), [(0, 0), (0, self.latent_size)])
        moments = [self._visible(self._encode(chains))]
        for seed in range(1, MOMENTS):
            units = self._gibbs(units, STEPS_BETWEEN, seed)
            moments.append(self._visible(units[:, pixels:]))
        largest = np.quantile(np.abs(filters), 0.999) or 1.0
        return {
            "filters": np.clip(0.5 + 0.5 * filters / largest, 0.0, 1.0),
            "chains": np.stack(moments, axis=1),
        }

    @inference
    def _energy_parameters(self):
        return self.energy_parameters()

    @inference
    def _encode(self, images):
        flat = ops.reshape(ops.cast(images, "float32"), (-1, self.space.dimensions))
        return ops.sigmoid(self.hidden_inputs(flat))

    @inference
    def _visible(self, hidden):
        return ops.reshape(ops.sigmoid(self.visible_inputs(hidden)), (-1, *self.image_shape))
