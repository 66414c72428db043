"""Deep convolutional generative adversarial network.

Alec Radford, Luke Metz, Soumith Chintala: Unsupervised Representation Learning with Deep
Convolutional Generative Adversarial Networks. 2015, arXiv:1511.06434.

The non-saturating losses of the `gan` (Goodfellow et al. 2014), with s = sigmoid:

    discriminator_loss = E_x[ -log s(D(x)) ] + E_z[ -log(1 - s(D(G(z)))) ]
    generator_loss     = E_z[ -log s(D(G(z))) ]

The paper's networks train stably on photographs (section 3): strided and transposed convolutions
instead of pooling; batch normalisation except at G's output and D's input; ReLU in G and
LeakyReLU(0.2) in D; tanh at G's output; weights from N(0, 0.02^2); Adam with beta_1 = 0.5; z of
100 dimensions. The code is `convolutional_generator` and `convolutional_features` in `networks.py`.

Deviations: for short training the rates are 0.0005 for D and 0.001 for G, not 0.0002 (after 8
epochs of MNIST a Frechet distance of 21 instead of 89, `base_channels=16`). z is normal, not
uniform. Kernels are 4x4 instead of 5x5: they overlap evenly at stride 2. `base_channels` is 64, as
in the paper's D. G starts from the image's size halved until a side is at most 4: from 4x4 with 256
channels for 28x28 images (paper: 4x4 with 1024, for 64x64). So any size from 8x8 to 64x64 works,
and 28x28 trains on a CPU.
"""

from typing import Literal

import keras

from kgen.bounds import ImageShape, Levels
from kgen.models.gans.gan import GAN


@keras.saving.register_keras_serializable("kgen")
class DCGAN(GAN):
    """Deep convolutional generative adversarial network (Radford et al. 2015).

    Alec Radford, Luke Metz, Soumith Chintala: Unsupervised Representation Learning with Deep
    Convolutional Generative Adversarial Networks. 2015, arXiv:1511.06434. With s = sigmoid:

        discriminator_loss = E_x[ -log s(D(x)) ] + E_z[ -log(1 - s(D(G(z)))) ]
        generator_loss     = E_z[ -log s(D(G(z))) ]

    Args:
        architecture: "conv", "resnet", or "dense" for the `gan`'s networks.
        kwargs: see `GAN`.

    Metrics: see `GAN`.
    """

    small_arguments = {"latent_size": 4, "base_channels": 4}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        architecture: Literal["dense", "conv", "resnet"] = "conv",
        **kwargs,
    ):
        super().__init__(image_shape, levels, architecture=architecture, **kwargs)
