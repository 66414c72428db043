"""Register kgen's classes with Keras by name, before their modules are imported.

`keras.saving.load_model` looks classes up in Keras' registry, which decorators fill when a module
is imported. `import kgen` imports neither Keras nor a model. So every name gets a placeholder, at
once if Keras is imported already, else when it is.
"""

import importlib
import importlib.abc
import sys

PACKAGE = "kgen"
OPTIMIZERS = ("ClosedFormUpdate", "OptimizerGroup")
LAYERS = (
    *("BatchNormalization", "Codebook", "Conv2D", "Conv2DTranspose", "UpsampleConv", "Dropout"),
    *("HorizontalConv2D", "MaskedConv2D", "MaskedDense", "SpectralNormalization"),
    *("ConditionalBatchNormalization", "MinibatchDeviation", "SumPooling", "VerticalConv2D"),
    *("ConditionEmbedding", "RecurrentTextEncoder", "TransformerTextEncoder"),
)
OF_MODELS = {  # layers and networks of single models
    "Codes": "kgen.models.gans.codes",
    "ResidualDown": "kgen.models.gans.blocks",
    "ResidualUp": "kgen.models.gans.blocks",
    "StageI": "kgen.models.gans.stackgan",
}


class Placeholder:
    """Stands for a class in Keras' registry; importing the class's module replaces it."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def from_config(self, config):
        """An object of the class, made from its configuration; Keras calls it for a file."""
        return getattr(importlib.import_module(self.module), self.name).from_config(config)


def homes():
    """{class name: module} of all classes of kgen that a Keras file can contain."""
    from kgen import models

    layers = dict.fromkeys(LAYERS, "kgen.layers")
    own = {name: module for name, module in models.homes().items() if module.startswith("kgen.")}
    return {**own, **layers, **OF_MODELS, **dict.fromkeys(OPTIMIZERS, "kgen.training")}


def register():
    """Add a placeholder for every class that Keras does not know yet."""
    from keras import saving

    for name, module in homes().items():
        saving.get_custom_objects().setdefault(f"{PACKAGE}>{name}", Placeholder(module, name))


def register_with_keras():
    """`register()` now if Keras is imported, else right after it is."""
    if "keras" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _AfterKeras())


class _AfterKeras(importlib.abc.MetaPathFinder):
    """An import finder that finds Keras by the other finders, and calls `register` afterwards."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next(filter(None, specs), None)
        if spec is not None and spec.loader is not None:
            self._register_after(spec.loader)
        return spec

    def _register_after(self, loader):
        execute = loader.exec_module

        def execute_and_register(module):
            loader.exec_module = execute
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                register()

        loader.exec_module = execute_and_register
