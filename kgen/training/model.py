"""`GenerativeModel`: the base class of every model, with the one training step."""

import math

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import ImageShape, Levels, Number, checked
from kgen.capabilities import names_with
from kgen.distributions import nearest_level
from kgen.errors import KgenError
from kgen.memory import check_memory
from kgen.training.configuration import check_policy
from kgen.training.images import as_array, check_images, check_labels
from kgen.training.inputs import BatchCheck
from kgen.training.lacking import Lacking
from kgen.training.losses import regularization
from kgen.training.players import statistics_kept
from kgen.training.terms import Terms
from kgen.training.trained import Trained


class GenerativeModel(Lacking, Trained):
    """A generative model of images with `levels` discrete values per pixel and channel.

    To write a model with one loss, subclass, build every layer in `__init__` (which takes plain
    numbers, strings and tuples and keeps each as an attribute of the same name) and define

    - `objective(images, labels, training) -> (loss, {term: value})`,
    - `recommended_optimizer() -> Keras optimizer`,
    - `sample(count, seed=None) -> uint8 images`,
    - `tracked`, the names of the loss ("loss") and of the terms, in the order to print them.

    A game of several players names them in `players`, each the attribute that holds the player's
    network, in the order in which they move; it returns `{player: optimizer}` from
    `recommended_optimizer` and overrides `train_step` and `test_step`, in ordinary stateful style,
    with one `minimize(loss_function, player, ...)` per move and `track(...)` at the end.

    What else a model can do is said by the attributes of `Lacking`.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel and channel, 0..levels-1: 2 for binary images, 256 for 8-bit ones.

    Attributes:
        classes: how many labels this model knows; 0 where none enter it.
        samples_in_one_pass: whether all pixels are drawn at once, not one after the other.
    """

    tracked = ("loss",)
    players = ()
    classes = 0
    samples_in_one_pass = True

    def __init__(self, image_shape: ImageShape, levels: Levels, **kwargs):
        super().__init__(**kwargs)
        check_policy(self.dtype_policy.name)
        if self.dtype_policy.name != keras.config.dtype_policy().name:
            raise KgenError(  # it would not reach the layers
                f"Expected no dtype, received {self.dtype_policy.name!r}: set it for all layers, "
                f"keras.config.set_dtype_policy({self.dtype_policy.name!r})."
            )
        self.image_shape = image_shape
        self.levels = levels
        self.seed_generator = keras.random.SeedGenerator()
        self.terms = Terms(self.tracked)
        self.built = True  # by the subclass: every layer is built in `__init__`

    # === What a model's author uses ===

    def unpack(self, data):
        """A batch as `(images, labels)`: uint8 images, int32 labels, None where none enter.

        Values that the model does not know end `fit` and `evaluate` when they next look.

        Raises:
            KgenError: for images or labels of another dtype or shape, missing labels, or sample
                weights.
        """
        images, labels = BatchCheck(self)(data)
        return images, self.terms.see(images, labels, self.levels, self.classes)

    def checked_images(self, images):
        """Images for inference as a uint8 array (n, height, width, channels).

        Raises:
            KgenError: for images of another dtype, shape or range.
        """
        images = as_array(images)
        check_images(images, self.image_shape, self.levels)
        return np.asarray(images)

    def checked_labels(self, labels, count):
        """Labels for inference: `(int32 labels (count,),)`, and `()` for a model without classes.

        Raises:
            KgenError: for missing or wrong labels, or any where none enter the model.
        """
        if self.classes:
            return (check_labels(labels, count, self.classes),)
        if labels is not None:
            raise KgenError(
                f"Expected no labels, for none enter this {type(self).__name__}: leave them out, "
                f"or take one of {names_with('conditional')} with classes."
            )
        return ()

    def checked_count(self, count, noise):
        """The number of images to sample, each drawn from `noise` random numbers.

        Raises:
            KgenError: for none or no whole number, or more than memory holds.
        """
        count = checked("count", count, Number)
        values = math.prod(self.image_shape)
        check_memory(
            count * (4 * noise + 2 * values),  # float32; each image, and all of them in one array
            f"{count:,} images",
            "draw fewer at a time",
        )
        return count

    def labels_to_sample(self, labels, count):
        """As `checked_labels`; where none are given, the classes in turn: 0, 1, 2, ..., 0, 1."""
        if self.classes and labels is None:
            labels = np.arange(count) % self.classes
        return self.checked_labels(labels, count)

    def scale(self, images):
        """Levels 0..levels-1 as float32 in [-1, 1]."""
        return ops.cast(images, "float32") * (2.0 / (self.levels - 1)) - 1.0

    def to_levels(self, values):
        """Floats in [-1, 1] as the nearest of the uint8 levels 0..levels-1."""
        return nearest_level(values, self.levels)

    def normal(self, shape):
        """Standard normal noise, new at every call and every step."""
        return backend.normal(shape, self.seed_generator)

    def uniform(self, shape):
        """Uniform noise in [0, 1), new at every call and every step."""
        return backend.uniform(shape, self.seed_generator)

    def minimize(self, loss_function, player=None, *args):
        """One optimizer step on `loss_function(*args) -> (loss, {term: value})`.

        Only the network of `player` changes (all for None). Returns (loss, terms) of before.
        """
        variables = self.variables_of(player)
        others = [getattr(self, other) for other in self.players if player not in (None, other)]
        with statistics_kept(others):
            (loss, terms), gradients = backend.value_and_grad(
                self, lambda: self.regularized(loss_function, player, *args), variables
            )
        optimizer = self.optimizer if player is None else self.optimizer[player]
        backend.apply_gradients(optimizer, gradients, variables)
        return loss, terms

    def regularized(self, loss_function, player=None, *args):
        """`loss_function(*args)`, with what layers of the player (None: of the model) add to it.

        That is the regularizers of weights and activities, and what layers `add_loss`, as Keras'
        own steps add it. What is added is part of the loss, and of none of the other terms.
        """
        network = self if player is None else getattr(self, player)
        with regularization(network) as added:
            loss, terms = loss_function(*args)
            return sum((ops.cast(part, loss.dtype) for part in added()), loss), terms

    def variables_of(self, player):
        """The trainable variables of a player; of the whole model for None."""
        return (self if player is None else getattr(self, player)).trainable_variables

    def track(self, images, **values):
        """Add this batch's terms, means over `images`, to the epoch's means; return those."""
        if set(values) != set(self.tracked):
            raise ValueError(f"Expected the tracked terms {self.tracked}, received {list(values)}.")
        self.terms.update_state(values, ops.shape(images)[0])
        return self.terms.result()

    # === What an author overrides ===

    def objective(self, images, labels, training):
        """The loss to minimise, a scalar mean over the batch, and the terms it is made of."""
        raise NotImplementedError(f"{type(self).__name__} defines no objective.")

    def recommended_optimizer(self):
        """What `compile()` uses when no optimizer is given: a new one at every call."""
        raise NotImplementedError(f"{type(self).__name__} recommends no optimizer.")

    def sample(self, count, seed=None):
        """`count` new images, uint8 (count, height, width, channels), equal for equal seeds."""
        raise NotImplementedError(f"{type(self).__name__} cannot sample.")

    def train_step(self, data):
        images, labels = self.unpack(data)
        loss, terms = self.minimize(self.objective, None, images, labels, True)
        return self.track(images, loss=loss, **terms)

    def test_step(self, data):
        images, labels = self.unpack(data)
        loss, terms = self.regularized(self.objective, None, images, labels, False)
        return self.track(images, loss=loss, **terms)
