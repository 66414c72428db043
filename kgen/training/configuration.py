"""How a model is written down as plain values, and made again from them."""

import keras

from kgen.errors import KgenError
from kgen.training.parameters import constructor_parameters, unknown, with_checked_arguments

POLICIES = ("float32", "float64", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16")


class Configured(keras.Model):
    """A model whose configuration is its constructor's arguments, kept as attributes.

    Keras' automatic configuration records the defaults of a subclassed `Model`, whatever it was
    made with.

    Every argument is held against its annotation (`kgen.bounds`) before anything is built, whether
    it comes from Python, `--set` or a file.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        with_checked_arguments(cls)

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
            KgenError: for arguments that the constructor does not take, of another type, or out of
                their bounds.
        """
        config = dict(config)
        name = config.pop("name", None)
        policy = config.pop("dtype", keras.config.dtype_policy().name)
        if not (name is None or type(name) is str) or policy not in POLICIES:
            raise KgenError(
                f"Expected a name and a dtype policy of {', '.join(POLICIES)}, received "
                f"{str(name)[:60]!r} and {str(policy)[:60]!r}."
            )
        known = constructor_parameters(cls)
        for argument in config.keys() - known:
            raise unknown(cls, argument, known)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            return cls(**config, name=name)
        finally:
            keras.config.set_dtype_policy(before)
