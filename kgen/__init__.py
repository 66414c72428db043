"""kgen: deep generative image models in Keras 3, on TensorFlow, JAX and PyTorch.

    >>> import kgen
    >>> data = kgen.data.load("digits")  # or "mnist", a folder of pictures, an array
    >>> model = kgen.models.create("vae", data)  # or kgen.VAE(image_shape=(8, 8, 1), levels=17)
    >>> model.compile()
    >>> history = model.fit(data.train.images, epochs=1, verbose=0)
    >>> images = model.sample(64, seed=0)
    >>> images.shape, images.dtype
    ((64, 8, 8, 1), dtype('uint8'))

Importing kgen imports no framework; the first name that needs one does. Keras, imported before or
after, finds kgen's classes: `keras.saving.load_model("model.keras")` works.
"""

import importlib

__version__ = "0.2.0"

# {public name: its module}; `kgen.models` adds the class of every registered model.
_HOMES = {
    "GenerativeModel": "kgen.training",
    "ImageModel": "kgen.training",
    "KgenError": "kgen.errors",
    "NonFiniteLossError": "kgen.training",
    "load": "kgen.saving",
    "save": "kgen.saving",
    "set_seed": "kgen.seeds",
}
_PACKAGES = {
    place.rpartition(".")[2]: f"kgen.{place}"
    for place in (
        "analysis.density",
        "analysis.latent",
        "analysis.probe",
        "backend",
        "data",
        "distributions",
        "encoders",
        "evaluation",
        "inference",
        "layers",
        "metrics",
        "models",
        "pictures",
        "spaces",
        "testing",
        "training",
    )
}


def __getattr__(name):
    if name in _PACKAGES:
        return importlib.import_module(_PACKAGES[name])
    home = _HOMES.get(name) or importlib.import_module("kgen.models").homes().get(name)
    if home is None:
        raise AttributeError(f"module 'kgen' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__():
    classes = importlib.import_module("kgen.models").homes()
    return sorted({*globals(), *_HOMES, *_PACKAGES, *classes})


importlib.import_module("kgen.registration").register_with_keras()
