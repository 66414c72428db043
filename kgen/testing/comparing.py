"""Comparisons of variables, losses and images, and of messages: what the checks assert."""

import contextlib

import numpy as np
from keras import ops

from kgen import backend
from kgen.description.variables import named_variables
from kgen.errors import KgenError


def array(tensor):
    """A NumPy copy of a tensor, which outlives it: JAX deletes donated ones, on the CPU, too."""
    return np.array(ops.convert_to_numpy(tensor))


def state_of(model):
    """{name: array} of everything that training changes."""
    return {name: array(variable.value) for name, variable in named_variables(model).items()}


def weights_in(state):
    """The part of a state that is the model's own, without the optimizer's."""
    return {name: value for name, value in state.items() if name.startswith("model/")}


def names_of(model):
    """{id of a variable: its name}; names are equal for equal models, unlike Keras' paths."""
    return {id(variable): name for name, variable in named_variables(model).items()}


def trainable(model):
    """{name: array} of what `model.fit` trains, its first stage, under the names of `names_of`."""
    names, players = names_of(model), model.players or (None,)
    return {names[id(v)]: array(v.value) for player in players for v in model.variables_of(player)}


def same(a, b):
    """Whether two arrays are equal in shape, dtype and every value."""
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)


def assert_same(received, expected):
    """Assert that two {name: array} are equal, bit for bit."""
    assert received.keys() == expected.keys(), "the names differ"
    differ = [name for name in expected if not same(received[name], expected[name])]
    assert differ == [], f"these differ: {', '.join(differ)}"


def assert_alike(received, expected):
    """Assert that two {name: array}, of equal trainings or of other gradients, are equal.

    Bit for bit; but floats may differ by 1e-4, as `assert_close`, where the backend adds up
    gradients in any order.
    """
    if backend.adds_in_order():
        assert_same(received, expected)
    else:
        assert_close(received, expected, 1e-4)
        counts = [name for name, value in expected.items() if value.dtype.kind != "f"]
        assert_same(
            {name: received[name] for name in counts}, {name: expected[name] for name in counts}
        )


def assert_close(received, expected, tolerance):
    """Assert that two {name: array} differ by at most `tolerance`.

    Relative to each array's largest entry, or to 1 where that is smaller.
    """
    assert received.keys() == expected.keys(), "the names differ"
    far = {
        name: float(np.max(np.abs(np.subtract(received[name], value, dtype="float64"))))
        for name, value in expected.items()
        if not np.allclose(
            received[name], value, rtol=0, atol=tolerance * max(1, np.max(np.abs(value)))
        )
    }
    assert far == {}, f"these differ by more than {tolerance}: {far}"


def assert_near_levels(received, expected):
    """Assert that images are equal, up to 1 level where floats were rounded the other way."""
    assert np.abs(received.astype(int) - expected.astype(int)).max() <= 1


def finite(history):
    """Whether every value of {name: values} is finite."""
    return all(np.isfinite(values).all() for values in history.values())


@contextlib.contextmanager
def refused(*words):
    """Assert that the block raises a KgenError of one line that contains every word."""
    try:
        yield
    except KgenError as error:
        message = str(error)
        assert "\n" not in message, f"a message of several lines: {message}"
        missing = [word for word in words if word not in message]
        assert missing == [], f"{', '.join(missing)} not in the message: {message}"
    else:
        raise AssertionError(f"Expected a KgenError with {', '.join(words)}, received none.")
