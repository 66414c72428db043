"""`GenerativeModel`: the base class of every model, with its training step."""

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import Fraction, Number, checked
from kgen.capabilities import names_with
from kgen.description.configuration import check_policy
from kgen.description.lacking import Lacking
from kgen.description.parameters import sampling_arguments
from kgen.errors import KgenError
from kgen.memory import check_memory
from kgen.spaces import (
    Space,
    check_condition,
    count_of,
    default_condition,
    parts_of,
)
from kgen.training.averages import Averages
from kgen.training.inputs import BatchCheck
from kgen.training.loss_components import LossComponents
from kgen.training.losses import regularization
from kgen.training.players import preserve_moving_statistics
from kgen.training.trained import Trained


class GenerativeModel(Lacking, Trained):
    """Base class of generative models of the items of one `space`; see `ImageModel` for images.

    To write a model with one loss, subclass it and build every layer in `__init__`. The constructor
    takes plain numbers, strings and tuples, and keeps each as an attribute of the same name. Define

    - `objective(x, condition, training) -> (loss, {term: value})`,
    - `recommended_optimizer() -> Keras optimizer`,
    - `sample(count=None, condition=None, seed=None) -> items`,
    - `metric_names`, the names of the loss ("loss") and of its terms, in the order to print them.

    A condition is an array or a dict of arrays: labels, attributes, texts or images.
    `condition_space` describes it. Write it as a property of arguments that `__init__` keeps before
    it calls `super().__init__`.

    A model of several players (a GAN) names them in `players`, in the order of their updates. Each
    name is the attribute that holds the player's network; {player: attributes} gives a player
    several networks. Return `{player: optimizer}` from `recommended_optimizer`. Override
    `train_step` and `test_step` in ordinary stateful style, with one
    `minimize(loss_function, player, ...)` per update and `track(...)` at the end.

    The attributes of `Lacking` say what else a model can do.

    Args:
        ema: decay of an exponential moving average of the weights (of `averaged`). Everything but
            training and validation uses the average. It is warmed up over the first steps; 0 turns
            it off.

    Attributes:
        space: the `kgen.spaces.Space` of the items.
        condition_space: the space of the condition, a dict of spaces, or None.
        averaged: the attributes of the networks whose weights `ema` averages; None for all.
        averages: the averaged weights; only with `ema`.
        progress_metric: the metric that training lowers; "loss" unless the loss's value says
            nothing about progress.
        sampling: "direct" (one pass through networks), "sequential" (one part of an item after the
            other) or "iterative" (many steps, each on the whole item).
    """

    metric_names = ("loss",)
    progress_metric = "loss"
    players = ()
    data_arguments = ()  # of the constructor, which every model of this kind takes
    averaged = None
    space: Space
    condition_space = None
    sampling = "direct"

    def __init__(self, ema: Fraction = 0.0, **kwargs):
        super().__init__(**kwargs)
        check_policy(self.dtype_policy.name)
        if self.dtype_policy.name != keras.config.dtype_policy().name:
            raise KgenError(  # a dtype given to the model alone would not reach its layers
                f"Expected no dtype, received {self.dtype_policy.name!r}: set it for all layers, "
                f"keras.config.set_dtype_policy({self.dtype_policy.name!r})."
            )
        self.ema = ema
        self.seed_generator = keras.random.SeedGenerator()
        self.loss_components = LossComponents(self.metric_names, self.spaces)
        self.built = True  # by the subclass: every layer is built in `__init__`

    def constructed(self):
        """Called when the outermost `__init__` has built every layer."""
        if self.ema:
            names = self.averaged
            networks = [self] if names is None else [getattr(self, name) for name in names]
            self.averages = Averages(self, networks, self.ema)

    def stages(self):
        """The training stages, in order: [(name, model, prepare)].

        `kgen.fit` trains one after the other; `model.fit` trains only the first. `prepare` maps a
        `kgen.data.Split` to the split that this stage trains on, using the stages before it. By
        default there is one stage: this model, on the data as they are. The models of further
        stages are attributes of this model.
        """
        return [("model", self, lambda split: split)]

    # === What a model's author uses ===

    @property
    def spaces(self):
        """The spaces of the parts of a batch: the items first, then the condition."""
        return [self.space, *parts_of(self.condition_space).values()]

    @property
    def step(self):
        """Number of optimizer steps since `compile`, a float32 scalar; 0 in the first step.

        Use it for schedules.
        """
        count = self.steps_counted
        return ops.zeros(()) if count is None else ops.cast(count, "float32")

    def unpack(self, data):
        """A batch as tensors `(x, condition)`; the condition of an unconditional model is None.

        Values outside of a space are recorded; `fit` and `evaluate` raise at their next check.

        Raises:
            KgenError: for a wrong dtype or shape, a missing condition, or sample weights.
        """
        x, condition = BatchCheck(self)(data)
        if condition is None:
            return self.loss_components.see(self.spaces, [x])[0], None
        if not isinstance(self.condition_space, dict):
            return tuple(self.loss_components.see(self.spaces, [x, condition]))
        parts = [condition[name] for name in self.condition_space]
        x, *parts = self.loss_components.see(self.spaces, [x, *parts])
        return x, dict(zip(self.condition_space, parts, strict=True))

    def checked_items(self, x):
        """Checked items for inference, an array (n, ...).

        Raises:
            KgenError: for items of a wrong dtype, shape or range.
        """
        return np.asarray(self.space.check(x))

    def checked_condition(self, condition, count):
        """A checked condition for inference: an array or dict of arrays of `count` rows, or None.

        Raises:
            KgenError: for a missing or wrong condition, or any condition of an unconditional model.
        """
        if self.condition_space is not None:
            return check_condition(self.condition_space, condition, count)
        if condition is not None:
            raise KgenError(
                f"Expected no condition, for nothing is given to this {type(self).__name__}: leave "
                f"it out, or take one of {names_with('conditional')}, created with classes."
            )
        return None

    def to_sample(self, count, condition, noise):
        """The checked arguments (count, condition) of `sample`, defaults filled in.

        Args:
            count: number of items; None for the number of the condition's rows.
            condition: None for the default of its space (labels: the classes in turn).
            noise: random numbers that one item is drawn from.

        Raises:
            KgenError: for a count that is no whole number, a condition of another number of rows,
                or more items than fit into memory.
        """
        if count is None:
            if condition is None:
                raise KgenError("Expected a number of items to sample, received none: pass count.")
            count = count_of(condition)
        count = checked("count", count, Number)
        check_memory(
            # float32; each item, and all of them in one array
            count * (4 * noise + 2 * self.space.dimensions),
            f"{count:,} {self.space.what}",
            "draw fewer at a time",
        )
        if condition is None and self.condition_space is not None:
            condition = default_condition(self.condition_space, count)
        return count, self.checked_condition(condition, count)

    def sampling_arguments(self, **given):
        """The arguments of `sample` other than count, condition and seed: its defaults and `given`.

        With the defaults, `sample` draws from the distribution that `log_prob` scores, if any.

        Raises:
            KgenError: for an unknown argument, or a value out of its bounds.
        """
        return sampling_arguments(self, given)

    def normal(self, shape):
        """Standard normal noise, float32, new at every call and every step."""
        return backend.normal(shape, self.seed_generator)

    def uniform(self, shape):
        """Uniform noise in [0, 1), float32, new at every call and every step."""
        return backend.uniform(shape, self.seed_generator)

    def minimize(self, loss_function, player=None, *args):
        """Run one optimizer step on `loss_function(*args) -> (loss, {term: value})`.

        Args:
            loss_function: returns a scalar loss and its terms.
            player: whose networks are updated; None for all.
            args: passed to `loss_function`.

        Returns:
            (loss, terms) before the update.
        """
        variables = self.variables_of(player)
        others = [
            network
            for other in self.players
            if player not in (None, other)
            for network in self.networks_of(other)
        ]
        with preserve_moving_statistics(others, moving=self.networks_of(player)):
            (loss, terms), gradients = backend.value_and_grad(
                self, lambda: self.regularized(loss_function, player, *args), variables
            )
        optimizer = self.optimizer if player is None else self.optimizer[player]
        backend.apply_gradients(optimizer, gradients, variables)
        if self.ema and self._is_averaged(player):
            self.averages.update()
        return loss, terms

    def _is_averaged(self, player):
        """Whether an update of the player changes averaged weights."""
        if player is None or self.averaged is None:
            return True
        return not set(self.averaged).isdisjoint(self._names_of(player))

    def regularized(self, loss_function, player=None, *args):
        """`loss_function(*args)` plus the regularization losses of the player's layers.

        As in Keras' own steps, these are weight and activity regularizers and calls of `add_loss`.
        They are added to the loss and to no other term. With player None all layers count.
        """
        with regularization(self.networks_of(player), self.variables_of(player)) as added:
            loss, terms = loss_function(*args)
            return sum((ops.cast(part, loss.dtype) for part in added()), loss), terms

    def _names_of(self, player):
        return self.players[player] if isinstance(self.players, dict) else (player,)

    def networks_of(self, player):
        """The networks of a player; the whole model for None."""
        if player is None:
            return [self]
        return [getattr(self, name) for name in self._names_of(player)]

    def variables_of(self, player):
        """The trainable variables of a player, without duplicates; for None, of this stage."""
        networks = self.networks_of(player)
        variables = [variable for network in networks for variable in network.trainable_variables]
        others = [stage for _, stage, _ in self.stages() if stage is not self]
        left_out = {id(variable) for stage in others for variable in stage.trainable_variables}
        return [v for v in {id(v): v for v in variables}.values() if id(v) not in left_out]

    def track(self, x, **values):
        """Add this batch's terms (means over the items `x`) to the epoch's means; return those."""
        if set(values) != set(self.metric_names):
            raise ValueError(
                f"Expected the loss components {self.metric_names}, received {list(values)}."
            )
        self.loss_components.update_state(values, ops.shape(x)[0])
        return self.loss_components.result()

    # === What an author overrides ===

    def objective(self, x, condition, training):
        """(loss, {term: value}): the scalar mean loss of the batch, and its terms."""
        raise NotImplementedError(f"{type(self).__name__} defines no objective.")

    def recommended_optimizer(self):
        """A new optimizer, used by `compile()` when none is given; a dict for several players."""
        raise NotImplementedError(f"{type(self).__name__} recommends no optimizer.")

    def sample(self, count=None, condition=None, seed=None):
        """New items, an array (count, ...). Equal seeds give equal items.

        Args:
            count: number of items; None for the number of the condition's rows.
            condition: one row per item; None in an unconditional model, or for the default of its
                space.
            seed: of the noise; None for new noise.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot sample.")

    def begin_epoch(self):
        """Called by `fit` before the first step of an epoch, and not when an epoch is resumed."""

    def end_epoch(self):
        """Called by `fit` after the last training step of an epoch, before its validation."""

    def train_step(self, data):
        x, condition = self.unpack(data)
        loss, terms = self.minimize(self.objective, None, x, condition, True)
        return self.track(x, loss=loss, **terms)

    def test_step(self, data):
        x, condition = self.unpack(data)
        loss, terms = self.regularized(self.objective, None, x, condition, False)
        return self.track(x, loss=loss, **terms)
