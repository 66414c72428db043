"""The classifiers of the named sets that come with kgen, the same for everybody.

`benchmarks/train_classifiers.py` trained them once, so that figures of different people are
comparable. Training one again makes another encoder, with another hash.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources

from kgen.data.named import is_published
from kgen.encoders.classifier import Classifier, Identity, build_network, read_weights
from kgen.errors import KgenError


@dataclass(frozen=True)
class Frozen:
    """A classifier whose weights are a file of the package, `weights/NAME.npz`.

    Attributes:
        identity: an `Identity`; its name is the file's name.
        sets: the named sets whose images it encodes, if shape and levels are equal.
    """

    identity: Identity
    sets: tuple[str, ...]

    def fits(self, data):
        """Whether it encodes the images of a `kgen.data.Dataset`."""
        its, own = self.identity, (tuple(data.image_shape), data.levels)
        return data.name in self.sets and own == (its.image_shape, its.levels)

    def path(self):
        return resources.files("kgen.encoders").joinpath("weights", f"{self.identity.name}.npz")

    def classifier(self):
        """Load the `Classifier`; KgenError if the file's checksum is wrong."""
        identity = self.identity
        with resources.as_file(self.path()) as path:
            received = (
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
            )
            if received != identity.sha256:
                raise KgenError(
                    f"Expected {path} with sha256 {identity.sha256}, received {received}: install "
                    "kgen again."
                )
            network = build_network(identity.image_shape, identity.levels, identity.classes)
            read_weights(path, network)
        return Classifier(network, identity, f"kgen's classifier of {identity.name}")


def _identity(name, image_shape, levels, test_accuracy, data_sha256, sha256):
    recipe = "benchmarks/train_classifiers.py"
    return Identity(name, recipe, data_sha256, image_shape, levels, 10, test_accuracy, sha256)


FROZEN = (
    Frozen(
        _identity(
            "digits",
            (8, 8, 1),
            levels=17,
            data_sha256="39cdd278a4c51c0928f7111f251df3147c46de5f7510c1de3d45d371c20a46bd",
            test_accuracy=1.0,  # of 359 images
            sha256="500547e076a727e9c2dc1e3090ada28de102cce4e9e6dbfa32a2ef58e0a15286",
        ),
        sets=("digits",),
    ),
    Frozen(
        _identity(
            "mnist",
            (28, 28, 1),
            levels=256,
            data_sha256="926569d52e9ea4d0d2b507ece16d462a91befac05b83e8376d62ce126c535a19",
            test_accuracy=0.9952,
            sha256="1abc21be273935a4c2a8ab5c6bf65b7d65e561b22b52783605b23166541056d7",
        ),
        sets=("mnist",),
    ),
    Frozen(
        _identity(
            "fashion_mnist",
            (28, 28, 1),
            levels=256,
            data_sha256="5983fa8e0f2c10c61c5b84cdc72725821f859148d8ac787a58807f454df87b94",
            test_accuracy=0.9301,
            sha256="85e4b8b9c9ac394a0b08b940c8003a85e44f944064255ecc66c4790abe913e7d",
        ),
        sets=("fashion_mnist",),
    ),
    # Trained on dynamically binarised MNIST, because the published binary set has no labels.
    Frozen(
        _identity(
            "binarized_mnist",
            (28, 28, 1),
            levels=2,
            data_sha256="d414dcf2e33ee102a29450ba9c8af8d4ccc64877341ad9f935979fa2eb99b207",
            test_accuracy=0.9893,
            sha256="f2807124881d9f1ec220bb29142233c530465552292e717a2dc8772946f67783",
        ),
        sets=("binarized_mnist", "mnist"),
    ),
    # Trained on the subset of 10,000 training and 1,000 test images: a weak classifier.
    Frozen(
        _identity(
            "cifar10",
            (32, 32, 3),
            levels=256,
            data_sha256="ddc9c532639a3db1f149e2672d62fead35efe4db2743590c4e4c4ccfad6ad18e",
            test_accuracy=0.645,
            sha256="4ebe692185be0b7034dba16d6b41ffeae66a44d57c1fd69f08af223cf7b40801",
        ),
        sets=("cifar10",),
    ),
)


def frozen_classifier(data):
    """The classifier that comes with kgen for these images, or None.

    Args:
        data: a `kgen.data.Dataset`: a named set, or a part of one (`limit`); for resized or grey
            versions there is no classifier.

    Raises:
        KgenError: if the installed file is damaged.

    Examples:
        >>> data = kgen.data.load("digits")
        >>> encoder = kgen.encoders.frozen_classifier(data)
        >>> encoder(data.test.images[:5]).shape, encoder.identity.test_accuracy
        ((5, 128), 1.0)
    """
    if not is_published(data):
        return None
    return next((frozen.classifier() for frozen in FROZEN if frozen.fits(data)), None)
