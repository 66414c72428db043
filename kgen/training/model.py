"""`GenerativeModel`: the base class of every model, with the one training step."""

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import Fraction, Number, checked
from kgen.capabilities import names_with
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
from kgen.training.configuration import check_policy
from kgen.training.inputs import BatchCheck
from kgen.training.lacking import Lacking
from kgen.training.loss_components import LossComponents
from kgen.training.losses import regularization
from kgen.training.parameters import sampling_arguments
from kgen.training.players import preserve_moving_statistics
from kgen.training.trained import Trained


class GenerativeModel(Lacking, Trained):
    """A generative model of items of one `space`; `ImageModel` is that of images.

    To write a model with one loss, subclass, build every layer in `__init__` (which takes plain
    numbers, strings and tuples and keeps each as an attribute of the same name) and define

    - `objective(x, condition, training) -> (loss, {term: value})`,
    - `recommended_optimizer() -> Keras optimizer`,
    - `sample(count=None, condition=None, seed=None) -> items`,
    - `metric_names`, the names of the loss ("loss") and of the terms, in the order to print them.

    What the model is given beside its items - labels, attributes, texts, images, or a dict of
    several - is its `condition_space`, a property made of arguments that `__init__` keeps before it
    calls `super().__init__`. A condition is an array, or a dict of arrays.

    A game of several players names them in `players`, in the order in which they move: each the
    attribute that holds the player's network, or {player: attributes} where one has several. It
    returns `{player: optimizer}` from `recommended_optimizer` and overrides `train_step` and
    `test_step`, in ordinary stateful style, with one `minimize(loss_function, player, ...)` per
    move and `track(...)` at the end.

    What else a model can do is said by the attributes of `Lacking`.

    Args:
        ema: decay of an exponential moving average of the weights (of `averaged`), which everything
            but training and validation uses; warmed up over the first steps; 0 turns it off.

    Attributes:
        space: a `kgen.spaces.Space`: what the model models.
        condition_space: what it is given: a space, a dict of spaces, or None.
        averaged: the attributes of the networks whose weights `ema` averages; None for all.
        averages: with `ema` only: the averaged weights.
        sampling: "direct" where items are drawn by one pass through networks; "sequential" where
            one part of an item is drawn after the other; "iterative" where an item is drawn by
            many steps on all of it.
    """

    metric_names = ("loss",)
    players = ()
    averaged = None
    space: Space
    condition_space = None
    sampling = "direct"

    def __init__(self, ema: Fraction = 0.0, **kwargs):
        super().__init__(**kwargs)
        check_policy(self.dtype_policy.name)
        if self.dtype_policy.name != keras.config.dtype_policy().name:
            raise KgenError(  # it would not reach the layers
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
        """What `kgen.fit` trains, one after the other: [(name, model, prepare)].

        `prepare` makes of a `kgen.data.Split` the one that this stage's model is trained on, by the
        stages before it. By default there is one stage, this model on the data as they are.
        `model.fit` trains the first stage alone; the models of others hang on this one.
        """
        return [("model", self, lambda split: split)]

    # === What a model's author uses ===

    @property
    def spaces(self):
        """The spaces of a batch's parts: of the items, then of the condition."""
        return [self.space, *parts_of(self.condition_space).values()]

    @property
    def step(self):
        """Optimizer steps since `compile`, a float32 scalar, for schedules: 0 in the first."""
        count = self.steps_counted
        return ops.zeros(()) if count is None else ops.cast(count, "float32")

    def unpack(self, data):
        """A batch as `(x, condition)`, tensors; the condition None where nothing is given.

        Values that the model does not know end `fit` and `evaluate` when they next look.

        Raises:
            KgenError: for items or conditions of another dtype or shape, missing conditions, or
                sample weights.
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
        """Items for inference as an array (n, ...).

        Raises:
            KgenError: for items of another dtype, shape or range.
        """
        return np.asarray(self.space.check(x))

    def checked_condition(self, condition, count):
        """A condition for inference: an array or a dict of arrays of `count` rows, or None.

        Raises:
            KgenError: for a missing or wrong condition, or one where nothing is given.
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
        """What `sample` is to draw: (count, condition), checked.

        Args:
            count: None for the condition's rows.
            condition: None for what the condition's space chooses (labels: the classes in turn).
            noise: random numbers that each item is drawn from.

        Raises:
            KgenError: for no whole number, a condition of other rows, or more than memory holds.
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
        """What `sample` is called with beside count, condition and seed: its defaults, or `given`.

        With the defaults it draws what `log_prob` scores, wherever there is a `log_prob`.

        Raises:
            KgenError: for an argument that it does not take, or a value out of its bounds.
        """
        return sampling_arguments(self, given)

    def normal(self, shape):
        """Standard normal noise, new at every call and every step."""
        return backend.normal(shape, self.seed_generator)

    def uniform(self, shape):
        """Uniform noise in [0, 1), new at every call and every step."""
        return backend.uniform(shape, self.seed_generator)

    def minimize(self, loss_function, player=None, *args):
        """One optimizer step on `loss_function(*args) -> (loss, {term: value})`.

        Only the networks of `player` change (all for None). Returns (loss, terms) of before.
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
        """Whether a move of the player changes weights that are averaged."""
        if player is None or self.averaged is None:
            return True
        return not set(self.averaged).isdisjoint(self._names_of(player))

    def regularized(self, loss_function, player=None, *args):
        """`loss_function(*args)`, with what layers of the player (None: of the model) add to it.

        That is the regularizers of weights and activities, and what layers `add_loss`, as Keras'
        own steps add it. What is added is part of the loss, and of none of the other terms.
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
        """The trainable variables of a player, each once; for None those of this stage."""
        networks = self.networks_of(player)
        variables = [variable for network in networks for variable in network.trainable_variables]
        others = [stage for _, stage, _ in self.stages() if stage is not self]
        left_out = {id(variable) for stage in others for variable in stage.trainable_variables}
        return [v for v in {id(v): v for v in variables}.values() if id(v) not in left_out]

    def track(self, x, **values):
        """Add this batch's terms, means over the items `x`, to the epoch's means; return those."""
        if set(values) != set(self.metric_names):
            raise ValueError(
                f"Expected the tracked terms {self.metric_names}, received {list(values)}."
            )
        self.loss_components.update_state(values, ops.shape(x)[0])
        return self.loss_components.result()

    # === What an author overrides ===

    def objective(self, x, condition, training):
        """The loss to minimise, a scalar mean over the batch, and the terms it is made of."""
        raise NotImplementedError(f"{type(self).__name__} defines no objective.")

    def recommended_optimizer(self):
        """What `compile()` uses when no optimizer is given: a new one at every call."""
        raise NotImplementedError(f"{type(self).__name__} recommends no optimizer.")

    def sample(self, count=None, condition=None, seed=None):
        """New items, an array (count, ...), equal for equal seeds.

        Args:
            count: how many; None for the rows of the condition.
            condition: what each is given; None in an unconditional model, or for what its space
                chooses.
            seed: of the noise; None for new noise.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot sample.")

    def train_step(self, data):
        x, condition = self.unpack(data)
        loss, terms = self.minimize(self.objective, None, x, condition, True)
        return self.track(x, loss=loss, **terms)

    def test_step(self, data):
        x, condition = self.unpack(data)
        loss, terms = self.regularized(self.objective, None, x, condition, False)
        return self.track(x, loss=loss, **terms)
