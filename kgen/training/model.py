"""`GenerativeModel`: the base class of every model, with the one training step."""

import warnings

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.capabilities import names_with
from kgen.distributions import nearest_level
from kgen.errors import KgenError
from kgen.training.callbacks import CallbackList
from kgen.training.configuration import Configured, check_policy
from kgen.training.images import (
    check_batch,
    check_labels,
    checked_arrays,
    checked_validation,
    split_validation,
)
from kgen.training.lacking import Lacking
from kgen.training.optimizers import checked_optimizer
from kgen.training.order import Batches, number_of_batches
from kgen.training.players import statistics_kept
from kgen.training.terms import Terms


class GenerativeModel(Lacking, Configured):
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

    def __init__(self, image_shape, levels, **kwargs):
        super().__init__(**kwargs)
        check_policy(self.dtype_policy.name)
        if self.dtype_policy.name != keras.config.dtype_policy().name:
            raise KgenError(  # it would not reach the layers
                f"Expected no dtype, received {self.dtype_policy.name!r}: set it for all layers, "
                f"keras.config.set_dtype_policy({self.dtype_policy.name!r})."
            )
        if not 2 <= levels <= 256:
            raise KgenError(f"Expected from 2 to 256 levels, received {levels}.")
        self.image_shape = tuple(image_shape)
        self.levels = levels
        self.seed_generator = keras.random.SeedGenerator()
        self.terms = Terms(self.tracked)
        self.built = True  # by the subclass: every layer is built in `__init__`

    # === What a model's author uses ===

    def unpack(self, data):
        """A batch as `(images, labels)`: images as they came, uint8; labels None if there are none.

        Raises:
            KgenError: for images of another dtype or shape, missing labels, or sample weights.
        """
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        if weights is not None:
            raise KgenError("Expected (images,) or (images, labels), received sample weights too.")
        check_batch(images, self.image_shape)
        if self.classes and labels is None:
            raise KgenError(f"Expected (images, labels) for {type(self).__name__}: no labels came.")
        return images, labels

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
                self, lambda: loss_function(*args), variables
            )
        optimizer = self.optimizer if player is None else self.optimizer[player]
        backend.apply_gradients(optimizer, gradients, variables)
        return loss, terms

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
        loss, terms = self.objective(images, labels, False)
        return self.track(images, loss=loss, **terms)

    # === Keras' front door ===

    def compile(
        self, optimizer=None, *, steps_per_execution=1, jit_compile="auto", run_eagerly=False
    ):
        """Prepare for training, as Keras' `compile`; the losses are the model's own.

        Args:
            optimizer: None for the recommended one, else a Keras optimizer (or its name), or for
                several players a dict {player: optimizer}.
            steps_per_execution: steps run in one compiled call on JAX and TensorFlow.
            jit_compile: "auto": steps are compiled by XLA, recorded on PyTorch; True: samples too.
            run_eagerly: True runs the step uncompiled, for debugging.

        Raises:
            KgenError: for a missing or unknown player, or an optimizer that scales the loss.
        """
        optimizer = self.recommended_optimizer() if optimizer is None else optimizer
        optimizer = checked_optimizer(optimizer, self.players)
        super().compile(
            optimizer=optimizer,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
        )
        self.jit_compile_inference = jit_compile is True
        if jit_compile == "auto" and not run_eagerly:
            self.jit_compile = backend.jit_compile_pays(self)
        # Now: TensorFlow cannot create variables inside the step, JAX threads those of before it.
        if self.players:
            self.optimizer.build({player: self.variables_of(player) for player in self.players})
        else:
            self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self):
        # Exactly what the steps return, so that Keras logs epoch means and JAX threads their state.
        return [self.terms]

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        initial_epoch=0,
        initial_step=0,
        steps_per_epoch=None,
        validation_batch_size=None,
        **kwargs,
    ):
        """Train, as Keras' `fit`.

        Arrays are shuffled by kgen: batch i of epoch e is a pure function of (seed, e, i), the seed
        being drawn when the model is created (`kgen.set_seed`), so that a run is repeated by every
        backend and continued by `initial_epoch`. Other data (`tf.data`, `DataLoader`, `PyDataset`)
        keep their own order. Validation draws its noise from the same seed, so that a training with
        it meets other noise than one without.

        Args:
            x: uint8 images (n, height, width, channels) with values 0..levels-1; or batches
                `images` or `(images, labels)` as tf.data, PyTorch DataLoader or PyDataset.
            y: labels of images given as an array, or None.
            initial_step: batches of the initial epoch that this model was trained on before, in the
                place where a checkpoint was written; its means go on from those in the model.
            kwargs: these, and everything else, as in `keras.Model.fit`.

        Raises:
            KgenError: for images of a wrong dtype, shape or range, or fewer than one batch.
            NonFiniteLossError: at the first non-finite loss; names the term, epoch and step.
        """
        self._assert_compiled()
        batches = None
        if hasattr(x, "shape"):
            batch_size = batch_size or 32
            (x, y), validation_data = split_validation(x, y, validation_split, validation_data)
            x, y = checked_arrays(self, x, y, at_least=batch_size)
            batches = Batches(x, y, batch_size, self.seed, shuffle, steps_per_epoch)
            x, y, steps_per_epoch = backend.feed(self, batches), None, None
        elif initial_step:
            raise KgenError("Expected images as an array: other data have an order of their own.")
        validation_data = checked_validation(self, validation_data)
        steps = steps_per_epoch or number_of_batches(x)
        own = {"batches": batches, "initial_step": initial_step, "add_history": True}
        callbacks = self._callback_list(callbacks, verbose, epochs, steps, **own)
        with warnings.catch_warnings(), backend.training():
            if batches is not None:  # Keras on PyTorch takes an epoch's remainder for a shortage
                warnings.filterwarnings("ignore", message="Your input ran out of data")
            return super().fit(
                x,
                y,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_data=validation_data,
                shuffle=False,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                validation_batch_size=validation_batch_size or batch_size,
                **kwargs,
            )

    def evaluate(self, x=None, y=None, batch_size=None, verbose="auto", callbacks=None, **kwargs):
        """Means of the terms over images (and labels), as Keras' `evaluate`."""
        self._assert_compiled()
        if hasattr(x, "shape"):
            x, y = checked_arrays(self, np.asarray(x), y)
        if not isinstance(callbacks, CallbackList):
            steps = kwargs.get("steps") or number_of_batches(x, batch_size)
            callbacks = self._callback_list(callbacks, verbose, 1, steps)
        return super().evaluate(x, y, batch_size, verbose, callbacks=callbacks, **kwargs)

    def _callback_list(self, callbacks, verbose, epochs, steps, **own):
        params = {"verbose": verbose, "epochs": epochs, "steps": steps}
        return CallbackList(callbacks, add_progbar=verbose != 0, model=self, **params, **own)

    def _assert_compiled(self):
        if not self.compiled:
            raise KgenError("Expected a compiled model: call model.compile() first.")

    @property
    def seed(self):
        """The number all noise and the data order of this model start from."""
        return int(np.asarray(ops.convert_to_numpy(self.seed_generator.state))[0])

    # Overridden because Keras' own expect a stateless `train_step(state, data)` on JAX, run
    # `steps_per_execution` as a Python loop there, and refuse it on PyTorch.

    def make_train_function(self, force=False):
        if self.train_function is None or force:
            self.train_function = backend.make_train_function(self)

    def make_test_function(self, force=False):
        if self.test_function is None or force:
            self.test_function = backend.make_test_function(self)
