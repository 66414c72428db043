"""Public packages beside kgen: the training step of a model of equal size, by turns with kgen's.

    pip install --group peers     # the optional packages
    python -m benchmarks.peers --pytorch-generative ~/pytorch-generative
    python -m benchmarks.report   # whose table "Beside public packages" is made of the results

Each package's model is built, trained and optimised as its documentation shows, eagerly, on
PyTorch; scikit-learn's by its `partial_fit`. Sizes are equal as far as the package allows; the
numbers of parameters tell how far. kgen's step is that of its `fit` (`benchmarks/speed/bare.py`),
on each backend, on the same images. Some rows draw images instead, by kgen's `sample`.

A row is a file of this folder, which names kgen's model and its settings and defines a function:

    PACKAGE                    the package that it imports
    MODEL, LEVELS, SETTINGS    kgen's model
    create(image_shape)        (torch module, optimizer, loss of uint8 images (n, c, h, w))

or, instead of `create`, one that leaves the loop to the row, with the number of parameters:

    stepping(images)           (function of a number of steps, int), training on (n, h, w, c)
    drawing(image_shape)       (function of a number of images, int), sampling
"""

import importlib
import importlib.util

ROWS = {  # {name: file}
    "pythae": "pythae_vae",
    "normflows": "normflows_glow",
    "pytorch-generative": "pytorch_generative_pixelcnn",
    "pytorch-generative-made": "pytorch_generative_made",
    "pytorch-generative-nade": "pytorch_generative_nade",
    "pytorch-generative-nade-samples": "pytorch_generative_nade_samples",
    "pytorch-generative-made-samples": "pytorch_generative_made_samples",
    "diffusers": "diffusers_unet",
    "denoising-diffusion-pytorch": "denoising_diffusion_unet",
    "scikit-learn": "scikit_learn_rbm",
}


def find(name):
    """The module of a row; importing it imports no framework."""
    return importlib.import_module(f"{__name__}.{ROWS[name]}")
