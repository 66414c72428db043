"""Every registered model against every check of `kgen.testing` that applies to it.

The checks of what all models inherit are run on two small models, one of a loss and one of players.
"""

import pytest
from toys import IndependentPixels, ToyGAN

import kgen
from kgen import backend, testing

# It compiles every operation by itself, some seconds for a model.
SLOW = {"jax": ["eager_training_equals_compiled"]}.get(backend.name(), [])
REGISTERED = {name: (kgen.models.get(name), False) for name in kgen.models.REGISTRY}
TOYS = {toy.__name__: (toy, True) for toy in (IndependentPixels, ToyGAN)}

PAIRS = [
    pytest.param(
        name, check, id=f"{name}-{check_name}", marks=[pytest.mark.slow] * (check_name in SLOW)
    )
    for name, (model_class, of_base_class) in {**REGISTERED, **TOYS}.items()
    for check_name, check in testing.checks(model_class, of_base_class)
]


@pytest.mark.usefixtures("steps_as_kgen_compiles_them")
@pytest.mark.parametrize(("name", "check"), PAIRS)
def test_contract(name, check):
    check()
