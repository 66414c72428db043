"""Every registered model against every check of `kgen.testing` that applies to it.

The checks of what all models inherit are run on two small models, one of a loss and one of players.
"""

import keras
import pytest
import toys_of_spaces
from toys import IndependentPixels, ToyGAN

import kgen
from kgen import backend, testing
from kgen.testing.case import Case
from kgen.testing.comparing import assert_close, state_of
from kgen.testing.states import BATCH_SIZE, WHOLE

TOYS = (IndependentPixels, ToyGAN)
OF_SPACES = [value for value in vars(toys_of_spaces).values() if hasattr(value, "small_arguments")]
# It compiles every operation by itself, some seconds for a model.
SLOW = {"jax": ["eager_training_equals_compiled"]}.get(backend.name(), [])

# {(model, check): why it fails}
EXPECTED = {
    # While all logits lie within the margins, as at the start, those of real and generated images
    # move the bias by -1 and by 1.
    **{
        ("sngan", check): "the bias of hinged logits has no gradient at first"
        for check in (
            "every_trainable_variable_has_a_gradient",
            "training_changes_every_trainable_variable",
            "an_update_changes_only_its_player",
        )
    },
    # At the papers' rates a few steps move the samples by less than the noise of the batches.
    **{
        (name, "samples_move_nearer_to_the_data"): "learns little in a few steps"
        for name in ("sngan", "projection_gan")
    },
    ("infogan", "training_improves_reconstructions"): "its codes are not learnt to rebuild images",
}


def marks_of(name, check_name):
    marks = [pytest.mark.slow] * (check_name in SLOW)
    if reason := EXPECTED.get((name, check_name)):
        marks.append(pytest.mark.xfail(reason=reason))
    return marks


PAIRS = [
    pytest.param(name, check, id=f"{name}-{check_name}", marks=marks_of(name, check_name))
    for name, model_class, of_base_class in [
        *((name, kgen.models.get(name), False) for name in kgen.models.REGISTRY),
        *((toy.__name__, toy, True) for toy in TOYS),
        *((toy.__name__, toy, False) for toy in OF_SPACES),
    ]
    for check_name, check in testing.checks(model_class, of_base_class)
]


@pytest.mark.usefixtures("steps_as_kgen_compiles_them")
@pytest.mark.parametrize(("name", "check"), PAIRS)
def test_contract(name, check):
    check()


def release(name):
    """Let go of what the checks of a model have built."""
    for pair in PAIRS:
        if pair.values[0] == name:
            pair.values[1].args[1].release()


def of_rows(arrays, rows):
    return keras.tree.map_structure(lambda part: part[rows], arrays)


def tf_dataset(arrays):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(arrays).batch(BATCH_SIZE)


def data_loader(arrays):
    import torch

    rows = [
        keras.tree.map_structure(lambda part, row=row: part[row], arrays) for row in range(WHOLE)
    ]
    return torch.utils.data.DataLoader(rows, BATCH_SIZE)


def generator(arrays):
    """JAX has no batches of its own, but arrays."""
    import jax

    for start in range(0, WHOLE, BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        yield keras.tree.map_structure(
            lambda part, rows=batch: jax.numpy.asarray(part[rows]), arrays
        )


BATCHES = {"tensorflow": tf_dataset, "torch": data_loader, "jax": generator}


@pytest.mark.parametrize("toy", [*TOYS, *OF_SPACES])
def test_trains_on_the_frameworks_own_batches(toy):
    case = Case(toy)
    model = case.anew()
    batches = BATCHES[backend.name()](case.training_data(WHOLE))
    model.fit(batches, steps_per_epoch=WHOLE // BATCH_SIZE, verbose=0)
    assert_close(state_of(model), case.in_order.state, 1e-5)
