"""A model's configuration: its constructor arguments as plain values, and a model from these."""

import keras
import numpy as np
from keras import ops

from kgen.description.parameters import (
    RENAMED,
    constructor_parameters,
    unknown,
    with_checked_arguments,
    with_checked_methods,
)
from kgen.errors import KgenError

# float16 needs loss scaling, which a step of several players does not have. Weights in bfloat16
# lose most updates to rounding. float64 is float32 on JAX, and some TensorFlow layers lack it.
POLICIES = ("float32", "mixed_bfloat16")

SEEDS = "seeds"  # the key of seed states in Keras' files, beside the model's own variables


def check_policy(name):
    """Raise KgenError unless models train under this dtype policy as in float32."""
    if name not in POLICIES:
        raise KgenError(
            f"Expected the dtype policy {' or '.join(POLICIES)}, received {str(name)[:60]!r}: "
            f"call keras.config.set_dtype_policy({POLICIES[0]!r})."
        )


def _of_any_backend(config):
    """A serialised object with Keras' public optimizer classes.

    On PyTorch, Keras serialises private subclasses, which fail on the other backends.
    """
    if isinstance(config, list):
        return [_of_any_backend(entry) for entry in config]
    if not isinstance(config, dict):
        return config
    config = {name: _of_any_backend(value) for name, value in config.items()}
    if str(config.get("module")).startswith("keras.src.backend."):
        config |= {"module": "keras.optimizers", "registered_name": None}
    return config


def _renamed(config, known):
    """A copy of the configuration in which old names of arguments are replaced by those `known`."""
    config = dict(config)
    for old, name in RENAMED.items():
        if old in config and old not in known and name in known and name not in config:
            config[name] = config.pop(old)
    return config


class Configured(keras.Model):
    """A Keras model whose configuration is its constructor arguments, kept as attributes.

    (Keras' automatic configuration of a subclassed `Model` records the defaults, not the arguments
    that were passed.)

    Every argument is checked against its annotation (`kgen.bounds`) before anything is built,
    whether it comes from Python, `--set` or a file.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        with_checked_arguments(cls)
        with_checked_methods(cls)

    def constructed(self):
        """Hook: called after the outermost `__init__` has returned."""

    def compile_from_config(self, config):
        """Called by `keras.saving.load_model`, which skips models that override `compile`."""
        config = keras.saving.deserialize_keras_object(_of_any_backend(config))
        names = ("optimizer", "steps_per_execution", "jit_compile", "run_eagerly")
        self.compile(**{name: config[name] for name in names})

    def get_config(self):
        """The constructor arguments, each read from the attribute of the same name."""
        settings = {name: getattr(self, name) for name in constructor_parameters(type(self))}
        return {**settings, "name": self.name, "dtype": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config):
        """A model from `get_config()`, built under the dtype policy it was saved with.

        Arguments that were renamed since the file was written are found under their new names.

        Raises:
            KgenError: for unknown arguments, arguments of a wrong type, or out of their bounds.
        """
        known = constructor_parameters(cls)
        config = _renamed(config, known)
        name = config.pop("name", None)
        policy = config.pop("dtype", keras.config.dtype_policy().name)
        if not (name is None or type(name) is str):
            raise KgenError(f"Expected a name, received {str(name)[:60]!r}: save the model anew.")
        check_policy(policy)
        for argument in config.keys() - known:
            raise unknown(cls, argument, known)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            return cls(**config, name=name)
        finally:
            keras.config.set_dtype_policy(before)

    def save_own_variables(self, store):
        """Save variables and seed states; Keras' `save`, `save_weights` and callbacks call it.

        Keras alone would leave the seed states out.
        """
        super().save_own_variables(store)
        states = [ops.convert_to_numpy(state) for state in self._seed_states()]
        store[SEEDS] = np.asarray(states, "int64")  # (k, 2)

    def load_own_variables(self, store):
        """Load what `save_own_variables` wrote; files of an earlier kgen hold no seed states."""
        names = list(store.keys())
        super().load_own_variables({name: store[name] for name in names if name != SEEDS})
        if SEEDS not in names:
            return
        values, states = np.asarray(store[SEEDS]), self._seed_states()
        if values.shape != (len(states), 2):
            raise KgenError(
                f"Expected {len(states)} seeds of 2 numbers in the file, received an array of "
                f"shape {values.shape}: create the model as it was when the file was written."
            )
        for state, value in zip(states, values, strict=True):
            state.assign(value)

    def _seed_states(self):
        """The seed states of this model and its layers (such as dropout), in variable order."""
        weights = set(map(id, self.weights))
        return [variable for variable in self.variables if id(variable) not in weights]
