"""Restricted Boltzmann machine.

Geoffrey Hinton: Training Products of Experts by Minimizing Contrastive Divergence. Neural
Computation 14, 2002, doi:10.1162/089976602760128018. The model is the "harmonium" of Paul
Smolensky: Information Processing in Dynamical Systems: Foundations of Harmony Theory. 1986.

Binary pixels v and binary hidden units h have a joint distribution p(v, h) = exp(-E(v, h)) / Z:

    E(v, h) = -b.v - c.h - v W h,    p(v) = exp(-F(v)) / Z
    F(v) = -b.v - sum_j log(1 + exp(c_j + (v W)_j))

Given one layer, the units of the other are independent. Gibbs sampling draws the layers in turn:
p(h_j = 1 | v) = sigmoid(c_j + (v W)_j) and p(v_i = 1 | h) = sigmoid(b_i + (W h)_i). The gradient of
log p(v) is approximated by k such steps (contrastive divergence, CD-k), with sg: stop_gradient:

    loss = F(data) - F(sg(negative samples))

The steps start at the data or, with `persistent`, at chains that are never reset (PCD: Tijmen
Tieleman: Training Restricted Boltzmann Machines using Approximations to the Likelihood Gradient.
2008, doi:10.1145/1390156.1390290). By default the units are centred (Jan Melchior, Asja Fischer,
Laurenz Wiskott: How to Center Deep Boltzmann Machines. JMLR 17, 2016, arXiv:1311.1354):
E(v, h) = -(v - m) W (h - l) - b.(v - m) - c.(h - l), where m and l are means of v and h.

Deviation: m is the mean of all images seen, instead of a moving average.
"""

from typing import ClassVar

import keras
from keras import ops

from kgen import backend
from kgen.bounds import Count, Fraction, ImageShape, Levels, Moves, Weight
from kgen.models.energy.base import BoltzmannMachine

SLIDE = 0.01  # of the moving average of hidden units
MEASURED = 8  # images of a training batch whose reconstruction is measured: it takes a product
SHRINKAGE = 0.05  # of pixel means towards 1/2, so that no base rate is 0 or 1


@keras.saving.register_keras_serializable("kgen")
class RBM(BoltzmannMachine):
    """Restricted Boltzmann machine (Smolensky 1986, Hinton 2002).

    Geoffrey Hinton: Training Products of Experts by Minimizing Contrastive Divergence. 2002,
    doi:10.1162/089976602760128018. With negative samples of k Gibbs steps:

        loss = F(data) - F(negative samples),    F(v) = -b.v - sum_j log(1 + exp(c_j + (v W)_j))

    Args:
        image_shape: (height, width, channels).
        levels: 2; the pixels are binary.
        hidden_units: number of hidden units.
        persistent: whether negative samples continue from `chains` (PCD) instead of the data (CD).
        chains: number of persistent chains; without `persistent`, of the last negative samples that
            are kept, from which samples and reverse annealing start.
        gibbs_steps: k, Gibbs steps per update.
        centred: whether the means of all units are subtracted.
        sparsity: weight of the cross-entropy between `sparsity_target` and each hidden unit's mean
            over the batch; 0 turns it off.
        sparsity_target: the mean that hidden units should have.
        weight_decay: weight of the penalty |W|^2 / 2.

    Metrics: `loss`, a difference of free energies, which does not measure progress;
    `reconstruction`, -log p(v | h) with the hidden probabilities of v as h, in nats per image (in
    training that of each batch's first 8 images); `negative_pseudo_likelihood`, the number of
    pixels times -log p(pixel | all other pixels), for one random pixel per image, in nats per
    image; `free_energy` of the images, in nats up to a constant: training images far below test
    images mean overfitting.
    """

    metric_names = ("loss", "reconstruction", "negative_pseudo_likelihood", "free_energy")
    progress_metric = "reconstruction"
    small_arguments: ClassVar[dict] = {
        **{"levels": 2, "hidden_units": 12, "persistent": True, "chains": 24, "gibbs_steps": 2},
        **{"sparsity": 0.01, "weight_decay": 1e-4},
    }

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 2,
        *,
        hidden_units: Count = 500,
        persistent: bool = False,
        chains: Count = 100,
        gibbs_steps: Moves = 1,
        centred: bool = True,
        sparsity: Weight = 0.0,
        sparsity_target: Fraction = 0.1,
        weight_decay: Weight = 0.0,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.hidden_units, self.persistent, self.chains = hidden_units, persistent, chains
        self.gibbs_steps, self.centred, self.weight_decay = gibbs_steps, centred, weight_decay
        self.sparsity, self.sparsity_target = sparsity, sparsity_target
        pixels = self.space.dimensions
        self.kernel = self.add_weight(
            name="kernel",
            shape=(pixels, hidden_units),
            initializer=keras.initializers.RandomNormal(stddev=0.01),
            regularizer=keras.regularizers.L2(weight_decay / 2) if weight_decay else None,
        )
        self.visible_bias = self.state("visible_bias", (pixels,), trainable=True)
        self.hidden_bias = self.state("hidden_bias", (hidden_units,), trainable=True)
        self.pixel_means = self.state("pixel_means", (pixels,))
        self.hidden_means = self.state("hidden_means", (hidden_units,), 0.5)
        self.batch_means = self.state("batch_means", (hidden_units,), 0.5)  # of the last batch
        self.images_seen = self.state("images_seen", ())
        self.chain_states = self.state("chain_states", (chains, pixels), dtype="uint8")

    def state(self, name, shape, value=0, dtype="float32", trainable=False):
        """A variable that is `value` everywhere; by default training changes it by no gradient."""
        start = keras.initializers.Constant(value)
        settings = {"trainable": trainable, "dtype": dtype, "initializer": start}
        return self.add_weight(name=name, shape=shape, **settings)

    @property
    def latent_size(self):
        return self.hidden_units

    def recommended_optimizer(self):
        # Chains can follow the weights only at a falling rate.
        rate = keras.optimizers.schedules.PolynomialDecay(0.05, 10_000, end_learning_rate=5e-4)
        return keras.optimizers.SGD(rate, momentum=0.5)

    # === The layers given each other ===

    @property
    def centres(self):
        """The means that are subtracted from visible and hidden units; zeros without `centred`."""
        return self.pixel_means * float(self.centred), self.hidden_means * float(self.centred)

    def hidden_inputs(self, visible):
        """Logits of p(h | v), (n, hidden_units)."""
        return ops.matmul(visible - self.centres[0], self.kernel) + self.hidden_bias

    def visible_inputs(self, hidden):
        """Logits of p(v | h), (n, pixels)."""
        shifted = hidden - self.centres[1]
        return ops.matmul(shifted, ops.transpose(self.kernel)) + self.visible_bias

    def free_energies(self, visible, inputs):
        """F(v) up to a constant, (n,), from v and the logits of p(h | v)."""
        visible_centre, hidden_centre = self.centres
        of_visible = ops.matmul(visible - visible_centre, self.visible_bias)
        of_hidden = ops.sum(backend.softplus(inputs), axis=-1)
        return ops.matmul(inputs, hidden_centre) - of_visible - of_hidden

    def energy_parameters(self):
        """W, b, c and a of `kgen.models.energy.partition.Energy`: those without centring."""
        visible_centre, hidden_centre = self.centres
        visible_bias = self.visible_bias - ops.matmul(self.kernel, hidden_centre)
        hidden_bias = self.hidden_bias - ops.matmul(visible_centre, self.kernel)
        return self.kernel + 0.0, visible_bias, hidden_bias, base_bias(self.pixel_means)

    # === Training ===

    def train_step(self, data):
        images, condition = self.unpack(data)
        self.recentre(self.flat(images))
        loss, terms = self.minimize(self.objective, None, images, condition, True)
        return self.track(images, loss=loss, **terms)

    def recentre(self, visible):
        """Move the centres to new means, and the biases so that the distribution stays the same.

        In the first step, the visible bias becomes that of the batch's base rates.
        """
        count = ops.cast(ops.shape(visible)[0], "float32")
        seen = self.images_seen + count
        pixels = (ops.mean(visible, axis=0) - self.pixel_means) * (count / seen)
        hidden = SLIDE * (self.batch_means - self.hidden_means)
        rates = base_bias(self.pixel_means + pixels)
        bias = ops.where(self.images_seen.value > 0, self.visible_bias.value, rates)
        if self.centred:
            bias = bias + ops.matmul(self.kernel, hidden)
            self.hidden_bias.assign_add(ops.matmul(pixels, self.kernel))
        self.visible_bias.assign(bias)
        self.pixel_means.assign_add(pixels)
        self.hidden_means.assign_add(hidden)
        self.images_seen.assign(seen)

    def objective(self, images, condition, training):
        visible = self.flat(images)
        inputs = self.hidden_inputs(visible)  # (n, hidden_units)
        free_energies = self.free_energies(visible, inputs)
        negative = self.negative_samples(inputs, training)
        difference = ops.mean(free_energies) - ops.mean(
            self.free_energies(negative, self.hidden_inputs(negative))
        )
        means = ops.mean(ops.sigmoid(inputs), axis=0)
        if training:
            self.batch_means.assign(ops.stop_gradient(means))
        some = slice(MEASURED if training else None)
        logits = self.visible_inputs(ops.sigmoid(inputs[some]))
        entropies = ops.sum(backend.softplus(logits) - visible[some] * logits, axis=-1)
        terms = {
            "reconstruction": ops.mean(entropies),
            "negative_pseudo_likelihood": self.pseudo_likelihood(visible, inputs, free_energies),
            "free_energy": ops.mean(free_energies),
        }
        return difference + self.sparsity_penalty(means), terms

    def negative_samples(self, inputs, training):
        """Visible units (n, pixels) after k Gibbs steps, from the data's inputs or the chains."""
        chains = ops.cast(self.chain_states, "float32")
        if self.persistent:
            inputs = self.hidden_inputs(chains)
        visible = self.gibbs_step(ops.stop_gradient(inputs))
        for _ in range(1, self.gibbs_steps):
            visible = self.gibbs_step(self.hidden_inputs(visible))
        if training:
            newest = ops.concatenate([visible, chains], axis=0)[: self.chains]
            self.chain_states.assign(ops.cast(newest, "uint8"))
        return ops.stop_gradient(visible)

    def gibbs_step(self, inputs):
        """Draws of h from its logits, then of v given h: returns v."""
        return self.drawn(self.visible_inputs(self.drawn(inputs)))

    def pseudo_likelihood(self, visible, inputs, free_energies):
        """-log p(v_i | other pixels), i one pixel per image, evenly spaced, times the pixels."""
        pixels, count = self.space.dimensions, ops.shape(visible)[0]
        offsets = ops.arange(count, dtype="float32") / ops.cast(count, "float32")
        chosen = ops.cast(ops.mod(self.uniform((1,)) + offsets, 1.0) * pixels, "int32")
        chosen = ops.minimum(chosen, pixels - 1)  # rounding may give `pixels`
        one_hot = ops.one_hot(chosen, pixels)
        change = 1.0 - 2.0 * ops.sum(one_hot * visible, axis=-1, keepdims=True)  # (n, 1)
        new_inputs = inputs + change * ops.take(self.kernel, chosen, axis=0)
        flipped = self.free_energies(visible + change * one_hot, new_inputs)
        return pixels * ops.mean(backend.softplus(free_energies - flipped))

    def sparsity_penalty(self, means):
        """`sparsity` times the cross-entropy of the target and the mean, over hidden units."""
        if not self.sparsity:
            return 0.0
        means, target = ops.clip(means, 1e-6, 1.0 - 1e-6), self.sparsity_target
        cross_entropy = target * ops.log(means) + (1.0 - target) * ops.log1p(-means)
        return -self.sparsity * ops.sum(cross_entropy)


def base_bias(means):
    """Logits of the base rates: pixel means, shrunk towards 1/2."""
    rates = (means + SHRINKAGE) / (1.0 + 2.0 * SHRINKAGE)
    return ops.log(rates) - ops.log1p(-rates)
