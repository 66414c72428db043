"""The model of one case, and what is done to it to measure it."""

import base64
import contextlib
import functools
import io
import itertools
import math
import time

import greenlet
import numpy as np

from benchmarks import native
from benchmarks.harness.cases import BUDGETS
from kgen.errors import KgenError


class UnsuitedError(KgenError):
    """The model of a case does not take its data."""


class Subject:
    """A model with its data; making one times the cold start, phase by phase.

    Args:
        case: a `Case`.
        importing: seconds that importing kgen, Keras and the framework took.

    Attributes:
        model, data, case, budget.
        cold_start: {phase: seconds}.

    Raises:
        KgenError: if the case asks for a GPU, and there is none.
        UnsuitedError: if the model does not take the data.
    """

    def __init__(self, case, importing):
        import kgen

        if case.device == "gpu" and kgen.backend.device() == "cpu":
            raise KgenError(
                f"Expected a GPU that {case.backend} sees, received none: install {case.backend} "
                "for this GPU, or choose --device cpu."
            )
        self.case, self.budget = case, BUDGETS[case.budget]
        self.data = kgen.data.load(case.data)
        self.cold_start = {"import": importing}
        self.seeds = itertools.count(case.seed)
        kgen.set_seed(case.seed)
        settings = native.SETTINGS.get(case.model, {})
        try:
            with self._phase("build"):
                self.model = kgen.models.create(case.model, self.data, **settings)
        except KgenError as error:
            raise UnsuitedError(str(error)) from error
        with self._phase("compile"):
            self.model.compile()
        with self._phase("first_step"):
            self.train(1)
        if self.model.can_sample:
            with self._phase("first_sample"):
                self.sample(1)

    @contextlib.contextmanager
    def _phase(self, name):
        started = time.perf_counter()
        yield
        self.cold_start[name] = time.perf_counter() - started

    def train(self, steps):
        """`fit` for so many steps; returns when they are computed."""
        x, condition = self._whole_batches(steps)
        self.model.fit(
            x, condition, batch_size=self.case.batch_size, steps_per_epoch=steps, verbose=0
        )

    @contextlib.contextmanager
    def training(self):
        """A function that trains for so many steps of one `fit`; returns when they are computed.

        Between two calls `fit` rests. The first call has what it does before its first step, the
        others only what every step costs, and now and then the end of an epoch.
        """
        import keras

        caller = greenlet.getcurrent()

        class Rest(keras.callbacks.Callback):
            @property
            def reads_batch_logs(self):  # which waits until they are computed
                return self.left == 1

            def on_train_batch_end(self, batch, logs=None):
                self.left -= 1
                if not self.left:
                    self.left = caller.switch()

        def fit(steps):
            rest.left = steps
            x, condition = self._whole_batches(len(self.data.train) // self.case.batch_size)
            settings = {"batch_size": self.case.batch_size, "epochs": 10**6, "verbose": 0}
            self.model.fit(x, condition, **settings, callbacks=[rest])

        rest, running = Rest(), greenlet.greenlet(fit)
        try:
            yield running.switch
        finally:
            if running:  # it has begun, and did not fail
                self.model.stop_training = True
                running.switch()

    @functools.cached_property
    def bare_loop(self):
        """A function that trains a model like this one on batches, by its compiled step alone."""
        from benchmarks.speed.bare import bare_loop

        model = type(self.model).from_config(self.model.get_config())
        model.compile()
        return bare_loop(model)

    def _whole_batches(self, count):
        from kgen.spaces import rows_of

        rows = slice(count * self.case.batch_size)
        return self.data.train.x[rows], rows_of(self.data.train.condition, rows)

    def _given(self, count):
        """What samples are given: the first test items' conditions, again and again."""
        from kgen.spaces import rows_of

        if self.model.condition_space is None:
            return None
        return rows_of(self.data.test.condition, np.arange(count) % len(self.data.test))

    def batches(self, steps):
        """As `train` sees them, for native code: gathered one by one, in an order drawn anew."""
        images = self.data.train.images
        order = np.random.default_rng(next(self.seeds)).permutation(len(images))
        size = self.case.batch_size
        starts = (step * size % (len(order) - size + 1) for step in range(steps))
        return (images[order[start : start + size]] for start in starts)

    def native(self, settings):
        """The native code of this model, with its weights."""
        data = self.data
        baseline = native.create(
            self.case.model, self.case.backend, data.image_shape, data.levels, **settings
        )
        baseline.load(native.weights_of(self.model))
        return baseline

    def steps_of_a_round(self):
        """How many steps take as long as a round should, by one that is not counted."""
        self.train(2)  # the second step is recorded where steps are
        steps, seconds = 1, 0.0
        while seconds < self.budget.round_seconds / 2:
            steps *= 2
            started = time.perf_counter()
            self.train(steps)
            seconds = time.perf_counter() - started
        return math.ceil(steps * self.budget.round_seconds / seconds)

    def sample(self, count):
        return self.model.sample(count, self._given(count), seed=next(self.seeds))

    def train_for(self, seconds):
        """Train from where the model stands; returns the steps and the seconds it took."""
        import keras

        started, steps = time.perf_counter(), itertools.count(1)

        class Deadline(keras.callbacks.Callback):
            reads_batch_logs = False

            def on_train_batch_end(self, batch, logs=None):
                self.trained = next(steps)
                if time.perf_counter() - started >= seconds:
                    self.model.stop_training = True

        deadline = Deadline()
        self.model.fit(
            self.data.train.x,
            self.data.train.condition,
            batch_size=self.case.batch_size,
            epochs=10**6,
            verbose=0,
            callbacks=[deadline],
        )
        return deadline.trained, time.perf_counter() - started

    def quality(self):
        """What `kgen.evaluation` finds of the model as it stands, as plain values."""
        from kgen.evaluation import evaluate

        found = evaluate(self.model, self.data, samples=self.budget.images, seed=self.case.seed)
        return found.as_json()

    def picture(self):
        """A grid of 64 samples (or of reconstructions) as PNG, base64."""
        from kgen import pictures

        model = self.model
        images = (
            model.sample(64, self._given(64), self.case.seed, **model.picture_arguments)
            if model.can_sample
            else model.reconstruct(np.asarray(self.data.test.images[:64]))
        )
        buffer = io.BytesIO()
        pictures.grid(images, model.levels).save(buffer, format="PNG")
        return base64.b64encode(buffer.getvalue()).decode()
