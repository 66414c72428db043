"""Keras' front door: `compile`, `fit` and `evaluate` of a model that computes its own losses."""

import warnings

import numpy as np
from keras import ops

from kgen import backend
from kgen.errors import KgenError
from kgen.training.callbacks import CallbackList
from kgen.training.configuration import Configured
from kgen.training.inputs import (
    checked_validation,
    given,
    refuse,
    refuse_for_batches,
    split_validation,
)
from kgen.training.optimizers import checked_optimizer
from kgen.training.order import Batches, check_number, number_of_batches
from kgen.training.variables import within_memory


class Trained(Configured):
    """A model that Keras' users train as they are used to; `GenerativeModel` says what it learns.

    It has a `seed_generator`, the `terms` that its steps return, and for each of its `players` a
    network of that name.
    """

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
        self.__dict__.pop("inference_functions", None)  # they know the last optimizer, and XLA
        optimizer = self.recommended_optimizer() if optimizer is None else optimizer
        optimizer = checked_optimizer(optimizer, self.players)
        super().compile(
            optimizer=optimizer,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
        )
        self.compiled_how = (  # Keras keeps what "auto" stands for
            ("steps_per_execution", steps_per_execution),
            ("jit_compile", jit_compile),
            ("run_eagerly", run_eagerly),
        )
        self.jit_compile_inference = jit_compile is True
        if jit_compile == "auto" and not run_eagerly:
            self.jit_compile = backend.default_jit_compile(self)
        # Now: TensorFlow cannot create variables inside the step, JAX threads those of before it.
        with within_memory():
            if self.players:
                self.optimizer.build({player: self.variables_of(player) for player in self.players})
            else:
                self.optimizer.build(self.variables_of(None))
        self.compiled_trainable = self._learned_variables()

    def _learned_variables(self):
        """What identifies the trainable variables, player by player."""
        players = self.players or (None,)
        return tuple(tuple(map(id, self.variables_of(player))) for player in players)

    def check_trainable(self):
        """Raise KgenError if layers were frozen or unfrozen since `compile`.

        The optimizer and the compiled step are made for the variables that were trainable then.
        """
        if self.compiled_trainable != self._learned_variables():
            raise KgenError(
                "Expected the trainable variables of compile(), received others: trainable "
                "changed: call compile() again."
            )

    @property
    def metrics(self):
        # Exactly what the steps return, so that Keras logs epoch means and JAX threads their state.
        return [self.loss_components]

    def watchers(self):
        """New Keras callbacks that warn when training goes wrong; `kgen.fit` uses them."""
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

        Arrays are shuffled by kgen: batch i of epoch e is a pure function of (seed, e, i), the seed
        being drawn when the model is created (`kgen.set_seed`), so that a run is repeated by every
        backend and continued by `initial_epoch`. Without it a further `fit` goes on where the last
        one ended, until the model is compiled again. Other data keep their own order.
        Validation draws its noise from the same seed, so that a training with it meets other noise
        than one without.

        Args:
            x: items of the model's space, such as uint8 images (n, height, width, channels) with
                values 0..levels-1, as an array, a list, a tensor, an HDF5 data set (which is read
                into memory) or a `kgen.data.Split`; or batches `images`, `(images,)` or `(images,
                condition)` as tf.data, PyTorch DataLoader, PyDataset or generator.
            y: the condition of items given as an array: labels (n,), another array of n rows or a
                dict of such; left out where nothing is given to the model.
            batch_size, validation_split, y: of arrays only.
            shuffle: whether arrays are shuffled; batches keep their order.
            class_weight, sample_weight: refused, since the losses are means over images.
            initial_step: batches of the initial epoch that this model was trained on before, in the
                place where a checkpoint was written; its means go on from those in the model.
            epochs, verbose, callbacks, validation_data, initial_epoch, steps_per_epoch,
                validation_steps, validation_batch_size, validation_freq: as in `keras.Model.fit`.

        Raises:
            KgenError: for images or labels of a wrong number, dtype, shape or range, at once for
                arrays, when they are met in batches; for an argument that is not obeyed; or if
                layers were frozen since `compile`.
            NonFiniteLossError: at the first non-finite loss; names the term, epoch and step.
        """
        self._assert_compiled()
        refuse(class_weight=class_weight, sample_weight=sample_weight)
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
                validation_steps=validation_steps,
                validation_batch_size=validation_batch_size,
                validation_freq=validation_freq,
            )

    def _batches(self, x, y, batch_size, shuffle, steps_per_epoch, initial_epoch, initial_step):
        """Arrays in the batches of a `fit` that begins at this epoch and step."""
        batch_size = batch_size or 32
        check_number(x, batch_size)
        batches = Batches(x, y, batch_size, self.seed, shuffle, steps_per_epoch)
        if initial_epoch == 0:  # not named: on from where the optimizer is
            trained = max(0, self._steps_trained() - initial_step)
            batches.trained = -(-trained // batches.steps_per_epoch)
        return batches

    def _steps_trained(self):
        """Train steps since `compile`, as the optimizer of the last player that learns counts."""
        optimizer = self.counting_optimizer
        return int(optimizer.iterations) * (optimizer.gradient_accumulation_steps or 1)

    @property
    def counting_optimizer(self):
        """The optimizer that counts train steps: that of the last player that learns."""
        learning = [player for player in self.players if self.variables_of(player)]
        return self.optimizer[learning[-1]] if learning else self.optimizer

    @property
    def steps_counted(self):
        """The variable that counts optimizer steps since `compile`; None before it."""
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
        """Means of the terms over images (and labels), as Keras' `evaluate`.

        Args:
            x, y, batch_size: as of `fit`.
            sample_weight: refused.
            verbose, steps, callbacks, return_dict: as in `keras.Model.evaluate`.

        Raises:
            KgenError: as `fit`.
        """
        self._assert_compiled()
        refuse(sample_weight=sample_weight)
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
            batch_size,
            verbose,
            steps=steps,
            callbacks=callbacks,
            return_dict=return_dict,
            **kwargs,  # Keras' own, of the validation within `fit`
        )

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """One step on a batch of images (and labels), as Keras' `train_on_batch`."""
        self._assert_compiled()
        refuse(sample_weight=sample_weight, class_weight=class_weight)
        return super().train_on_batch(*given(self, x, y), return_dict=return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """The terms of a batch of images (and labels), as Keras' `test_on_batch`."""
        self._assert_compiled()
        refuse(sample_weight=sample_weight)
        return super().test_on_batch(*given(self, x, y), return_dict=return_dict)

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
        self.check_trainable()
        if self.train_function is None or force:
            self.train_function = backend.make_train_function(self)

    def make_test_function(self, force=False):
        self.check_trainable()
        if self.test_function is None or force:
            self.test_function = backend.make_test_function(self)
