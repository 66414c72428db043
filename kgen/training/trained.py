"""Keras' `compile`, `fit` and `evaluate` for models that compute their own losses."""

import warnings

import numpy as np
from keras import ops

from kgen import backend
from kgen.description.configuration import Configured
from kgen.description.variables import within_memory
from kgen.errors import KgenError
from kgen.training.callbacks import CallbackList
from kgen.training.inputs import (
    check_numbers,
    checked_validation,
    given,
    refuse,
    refuse_for_batches,
    split_validation,
)
from kgen.training.optimizers import checked_optimizer
from kgen.training.order import Batches, check_number, number_of_batches


class Trained(Configured):
    """A model with Keras' training interface; its subclass `GenerativeModel` defines the loss.

    The subclass provides `seed_generator`, the `loss_components` that its steps return, and the
    networks of its `players`.
    """

    def compile(
        self, optimizer=None, *, steps_per_execution=1, jit_compile="auto", run_eagerly=False
    ):
        """Prepare for training, as Keras' `compile`. The model defines its own losses.

        Args:
            optimizer: None for the recommended one, a Keras optimizer or its name, or a dict
                {player: optimizer} for several players.
            steps_per_execution: number of steps in one compiled call, on JAX and TensorFlow.
            jit_compile: "auto" compiles training steps by XLA where that is faster and records
                them on PyTorch; True compiles sampling by XLA, too.
            run_eagerly: True runs the step uncompiled, for debugging.

        Raises:
            KgenError: for a missing or unknown player, or an optimizer that scales the loss.
        """
        self.__dict__.pop("inference_functions", None)  # made for the last optimizer and XLA choice
        optimizer = self.recommended_optimizer() if optimizer is None else optimizer
        optimizer = checked_optimizer(optimizer, self.players)
        super().compile(
            optimizer=optimizer,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
        )
        self.compiled_how = (  # as given; Keras replaces "auto"
            ("steps_per_execution", steps_per_execution),
            ("jit_compile", jit_compile),
            ("run_eagerly", run_eagerly),
        )
        self.jit_compile_inference = jit_compile is True
        if jit_compile == "auto" and not run_eagerly:
            self.jit_compile = backend.default_jit_compile(self)
        # Before the step: TensorFlow cannot create variables inside it, nor can JAX thread them.
        with within_memory():
            if self.players:
                self.optimizer.build({player: self.variables_of(player) for player in self.players})
            else:
                self.optimizer.build(self.variables_of(None))
        self.compiled_trainable = self._learned_variables()

    def _learned_variables(self):
        """The ids of the trainable variables, player by player."""
        players = self.players or (None,)
        return tuple(tuple(map(id, self.variables_of(player))) for player in players)

    def check_trainable(self):
        """Raise KgenError if layers were frozen or unfrozen since `compile`.

        The optimizer and the compiled step were made for the variables trainable at that time.
        """
        if self.compiled_trainable != self._learned_variables():
            raise KgenError(
                "Expected the trainable variables of compile(), received others: trainable "
                "changed: call compile() again."
            )

    @property
    def metrics(self):
        # Exactly what the steps return: Keras then logs epoch means, and JAX threads their state.
        return [self.loss_components]

    def watchers(self):
        """Keras callbacks that warn of training failures; `python -m kgen.fit` uses them."""
        return []

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
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
        *,
        initial_step=0,
    ):
        """Train, as Keras' `fit`.

        kgen shuffles arrays itself: batch i of epoch e is a pure function of (seed, e, i). The seed
        is drawn when the model is created (`kgen.set_seed`). So the data order is the same on every
        backend, and `initial_epoch` continues a run. Without `initial_epoch` a further `fit`
        continues where the last one ended, until the model is compiled again. Batches that you make
        keep their own order. Validation draws noise from the same seed, so training with validation
        sees other noise than training without it.

        Args:
            x: items of the model's space, such as uint8 images (n, height, width, channels) with
                values 0..levels-1: an array, a list, a tensor, an HDF5 data set (which is read
                into memory) or a `kgen.data.Split`; or batches `images`, `(images,)` or `(images,
                condition)` from tf.data, a PyTorch DataLoader, a PyDataset or a generator.
            y: the condition of items given as an array: labels (n,), another array of n rows, or a
                dict of arrays; None for an unconditional model.
            batch_size, validation_split, y: for arrays only.
            shuffle: whether arrays are shuffled; batches keep their order.
            class_weight, sample_weight: refused, since the losses are means over images.
            initial_step: number of batches of the initial epoch that this model was trained on
                before the checkpoint was written; the epoch's means continue from the model's.
            epochs, verbose, callbacks, validation_data, initial_epoch, steps_per_epoch,
                validation_steps, validation_batch_size, validation_freq: as in `keras.Model.fit`.

        Raises:
            KgenError: for images or labels of a wrong number, dtype, shape or range (arrays are
                checked at once, batches as they arrive); for an unsupported argument; or if layers
                were frozen since `compile`.
            NonFiniteLossError: at the first non-finite loss; names the term, epoch and step.
        """
        self._assert_compiled()
        refuse(class_weight=class_weight, sample_weight=sample_weight)
        check_numbers(
            batch_size=batch_size,
            epochs=epochs,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=None
            if isinstance(validation_freq, list | tuple | set)
            else validation_freq,
        )
        x, y = given(self, x, y)
        batches = None
        if hasattr(x, "shape"):
            if validation_split and validation_data is None:
                (x, y), validation_data = split_validation(x, y, validation_split)
            batches = self._batches(
                x, y, batch_size, shuffle, steps_per_epoch, initial_epoch, initial_step
            )
            x, y, steps_per_epoch = backend.batch_source(self, batches), None, None
        else:
            refuse_for_batches(
                batch_size=batch_size, validation_split=validation_split, initial_step=initial_step
            )
        validation_data = checked_validation(self, validation_data)
        if not isinstance(validation_data, tuple):
            refuse_for_batches(validation_batch_size=validation_batch_size)
        else:
            validation_batch_size = validation_batch_size or batch_size
        steps = steps_per_epoch or number_of_batches(x)
        own = {"batches": batches, "initial_step": initial_step, "add_history": True}
        callbacks = self._callback_list(callbacks, verbose, epochs, steps, **own)
        with warnings.catch_warnings(), backend.training():
            if batches is not None:  # on PyTorch, Keras warns about the rest of a resumed epoch
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
                validation_steps=validation_steps,
                validation_batch_size=validation_batch_size,
                validation_freq=validation_freq,
            )

    def _batches(self, x, y, batch_size, shuffle, steps_per_epoch, initial_epoch, initial_step):
        """The `Batches` of a `fit` that begins at this epoch and step."""
        batch_size = batch_size or 32
        check_number(x, batch_size)
        batches = Batches(x, y, batch_size, self.seed, shuffle, steps_per_epoch)
        if initial_epoch == 0:  # not given: continue from the optimizer's step count
            trained = max(0, self._steps_trained() - initial_step)
            batches.trained = -(-trained // batches.steps_per_epoch)
        return batches

    def _steps_trained(self):
        """Train steps since `compile`, as the last learning player's optimizer counts them."""
        optimizer = self.counting_optimizer
        return int(optimizer.iterations) * (optimizer.gradient_accumulation_steps or 1)

    @property
    def counting_optimizer(self):
        """The optimizer that counts train steps: that of the last player that learns."""
        learning = [player for player in self.players if self.variables_of(player)]
        return self.optimizer[learning[-1]] if learning else self.optimizer

    @property
    def steps_counted(self):
        """The variable that counts optimizer steps since `compile`; None before `compile`."""
        return self.counting_optimizer.iterations if self.compiled else None

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
        **kwargs,
    ):
        """Mean loss terms over images (and labels), as Keras' `evaluate`.

        Args:
            x, y, batch_size: as in `fit`.
            sample_weight: refused.
            verbose, steps, callbacks, return_dict: as in `keras.Model.evaluate`.

        Raises:
            KgenError: as in `fit`.
        """
        self._assert_compiled()
        refuse(sample_weight=sample_weight)
        check_numbers(batch_size=batch_size, steps=steps)
        x, y = given(self, x, y)
        if hasattr(x, "shape"):
            x = np.asarray(x)
        else:
            refuse_for_batches(batch_size=batch_size)
        if not isinstance(callbacks, CallbackList):
            steps_in_all = steps or number_of_batches(x, batch_size)
            callbacks = self._callback_list(callbacks, verbose, 1, steps_in_all)
        return super().evaluate(
            x,
            y,
            batch_size and int(batch_size),  # PyTorch takes no number of NumPy
            verbose,
            steps=steps,
            callbacks=callbacks,
            return_dict=return_dict,
            **kwargs,  # private arguments of Keras, from the validation within `fit`
        )

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """One train step on a batch of images (and labels), as Keras' `train_on_batch`."""
        self._assert_compiled()
        refuse(sample_weight=sample_weight, class_weight=class_weight)
        return super().train_on_batch(*given(self, x, y), return_dict=return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """The loss terms of a batch of images (and labels), as Keras' `test_on_batch`."""
        self._assert_compiled()
        refuse(sample_weight=sample_weight)
        return super().test_on_batch(*given(self, x, y), return_dict=return_dict)

    def predict(self, *args, **kwargs):
        """Refused: a generative model has several outputs, each with its own method."""
        raise KgenError(
            "Expected sample, log_prob, encode, decode or reconstruct, received predict: call one "
            f"of these that {type(self).__name__} has."
        )

    def _callback_list(self, callbacks, verbose, epochs, steps, **own):
        params = {"verbose": verbose, "epochs": epochs, "steps": steps}
        return CallbackList(callbacks, add_progbar=verbose != 0, model=self, **params, **own)

    def _assert_compiled(self):
        if not self.compiled:
            raise KgenError("Expected a compiled model: call model.compile() first.")

    @property
    def seed(self):
        """The seed of this model's noise and data order."""
        return int(np.asarray(ops.convert_to_numpy(self.seed_generator.state))[0])

    # Overridden: on JAX, Keras' functions expect a stateless `train_step(state, data)` and run
    # `steps_per_execution` as a Python loop; on PyTorch they refuse `steps_per_execution`.

    def make_train_function(self, force=False):
        self.check_trainable()
        if self.train_function is None or force:
            self.train_function = backend.make_train_function(self)

    def make_test_function(self, force=False):
        self.check_trainable()
        if self.test_function is None or force:
            self.test_function = backend.make_test_function(self)
