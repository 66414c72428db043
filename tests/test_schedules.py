"""`self.step` in an objective: the number of optimizer steps, whatever compiles the step."""

import keras
import numpy as np
import pytest
from keras import ops
from toys import Quadratic

import kgen
from kgen.inference import inference
from kgen.testing.comparing import array

IMAGES = np.zeros((12, 8, 8, 1), "uint8")


@keras.saving.register_keras_serializable("toys")
class Annealed(Quadratic):
    """Its loss is the number of the step times a weight, which plain descent takes from it."""

    metric_names = ("loss", "seen")

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.weight = self.add_weight(shape=(), initializer="zeros", name="weight")

    def recommended_optimizer(self):
        return keras.optimizers.SGD(1.0)

    def objective(self, images, condition, training):
        return self.step * self.weight, {"seen": self.step + 0.0 * ops.sum(self.mean)}

    @inference
    def faded(self, values):
        return self.step * values


WAYS = [
    {},
    {"jit_compile": True},
    {"run_eagerly": True},
    {"steps_per_execution": 3},
    {"steps_per_execution": 3, "jit_compile": True},
]


@pytest.mark.usefixtures("steps_as_kgen_compiles_them")
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_step_is_a_number_that_rises(way):
    model = Annealed()
    model.compile(**way)
    history = model.fit(IMAGES, batch_size=2, epochs=2, verbose=0).history  # of 6 steps each
    assert history["seen"] == [np.mean(range(6)), np.mean(range(6, 12))]
    assert array(model.weight.value) == -sum(range(12))
    logs = model.evaluate(IMAGES, batch_size=2, verbose=0, return_dict=True)
    assert logs["seen"] == 12
    assert model.faded(np.ones((2,), "float32")).tolist() == [12, 12]
    model.compile(**way)
    assert model.faded(np.ones((2,), "float32")).tolist() == [0, 0]


def test_a_continued_training_goes_on_in_its_schedule(tmp_path, monkeypatch):
    monkeypatch.setattr(kgen.models, "REGISTRY", dict(kgen.models.REGISTRY))
    kgen.models.register("annealed", Annealed)
    model = Annealed()
    model.compile()
    model.fit(IMAGES, batch_size=2, verbose=0)
    kgen.save(model, tmp_path)
    continued = kgen.load(tmp_path)
    history = continued.fit(IMAGES, batch_size=2, verbose=0, initial_epoch=1, epochs=2).history
    assert history["seen"] == [np.mean(range(6, 12))]
    continued.compile()
    assert float(array(continued.step)) == 0
