"""How a model is written down as plain values, and made again from them."""

import keras

from kgen.errors import KgenError
from kgen.training.parameters import checked_arguments, constructor_parameters

# float16 needs loss scaling, which a step of several players does not have; weights kept in bfloat16
# lose most updates to rounding; float64 is float32 on JAX, and some layers lack it on TensorFlow.
POLICIES = ("float32", "mixed_bfloat16")


def check_policy(name):
    """Raise KgenError for a dtype policy under which models do not train as in float32."""
    if name not in POLICIES:
        raise KgenError(
            f"Expected the dtype policy {' or '.join(POLICIES)}, received {str(name)[:60]!r}: "
            f"call keras.config.set_dtype_policy({POLICIES[0]!r})."
        )


class Configured(keras.Model):
    """A model whose configuration is its constructor's arguments, kept as attributes.

    Keras' automatic configuration records the defaults of a subclassed `Model`, whatever it was
    made with.
    """

    def compile_from_config(self, config):
        """Called by `keras.saving.load_model`; Keras' own skips models with their own `compile`."""
        config = keras.saving.deserialize_keras_object(config)
        names = ("optimizer", "steps_per_execution", "jit_compile", "run_eagerly")
        self.compile(**{name: config[name] for name in names})

    def get_config(self):
        """The constructor's arguments, each read from the attribute of the same name."""
        settings = {name: getattr(self, name) for name in constructor_parameters(type(self))}
        return {**settings, "name": self.name, "dtype": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config):
        """A model from `get_config()`, built under the dtype policy it was saved with.

        Raises:
            KgenError: for arguments that the constructor does not take, or of another type.
        """
        config = dict(config)
        name = config.pop("name", None)
        policy = config.pop("dtype", keras.config.dtype_policy().name)
        if not (name is None or type(name) is str):
            raise KgenError(f"Expected a name, received {str(name)[:60]!r}: save the model anew.")
        check_policy(policy)
        arguments = checked_arguments(cls, config)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            return cls(**arguments, name=name)
        finally:
            keras.config.set_dtype_policy(before)
