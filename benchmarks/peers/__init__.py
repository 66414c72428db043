"""Public packages beside kgen: the training step of a model of equal size, by turns with kgen's.

    pip install --group peers     # the optional packages
    python -m benchmarks.peers --pytorch-generative ~/pytorch-generative
    python -m benchmarks.report   # whose table "Beside public packages" is made of the results

Each package's model is built, trained and optimised as its documentation shows, eagerly, on
PyTorch. Sizes are equal as far as the package allows; the numbers of parameters tell how far.
kgen's step is that of its `fit` (`benchmarks/speed/bare.py`), on each backend, on the same images.

A row is a file of this folder, which names kgen's model and its settings and defines a function:

    PACKAGE                    the package that it imports
    MODEL, LEVELS, SETTINGS    kgen's model
    create(image_shape)        (torch module, optimizer, loss of uint8 images (n, c, h, w))
"""

import importlib
import importlib.util

ROWS = {  # {name: file}
    "pythae": "pythae_vae",
    "normflows": "normflows_glow",
    "pytorch-generative": "pytorch_generative_pixelcnn",
    "diffusers": "diffusers_unet",
    "denoising-diffusion-pytorch": "denoising_diffusion_unet",
}


def find(name):
    """The module of a row; importing it imports no framework."""
    return importlib.import_module(f"{__name__}.{ROWS[name]}")
