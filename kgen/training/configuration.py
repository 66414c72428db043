"""How a model is written down as plain values, and made again from them."""

import keras

from kgen.training.parameters import constructor_parameters


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
        """A model from `get_config()`, built under the dtype policy it was saved with."""
        config = dict(config)
        policy = keras.dtype_policies.get(config.pop("dtype", keras.config.dtype_policy()))
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            return cls(**config)
        finally:
            keras.config.set_dtype_policy(before)
