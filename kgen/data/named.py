"""The named sets, with their files, checksums, sources and licences."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from kgen.data import emoji, formats, placed_digits, points, texts
from kgen.data.dataset import Dataset
from kgen.data.sources import Source, find, is_at_hand
from kgen.spaces import Pixels


@dataclass(frozen=True)
class NamedSet:
    """A named set of published images.

    Attributes:
        description: one line, for lists.
        levels, licence, label_names: as in `Dataset`.
        sources: in order of preference; the first one is downloaded.
    """

    description: str
    levels: int
    licence: str
    label_names: tuple[str, ...] | None
    sources: tuple[Source, ...]
    options: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class Recipe:
    """A named set of another kind, such as a generated one.

    Attributes:
        description: one line, for lists.
        read: function of a tuple of options that returns the set.
        options: words that may follow the name and a colon.
    """

    description: str
    read: Callable[[tuple[str, ...]], Dataset]
    options: tuple[str, ...] = ()


def read_named(name, options=()):
    """A named set.

    Args:
        name: a key of `SETS`.
        options: a tuple of some of its options.

    Returns:
        A `Dataset`.

    Raises:
        KgenError: if its files cannot be found or downloaded, or if options exclude each other.
    """
    known = SETS[name]
    if isinstance(known, Recipe):
        return known.read(options)
    source, folder = find(name, known.sources)
    train, test, validation = (*source.read(folder), None)[:3]
    return Dataset(
        name,
        train,
        test,
        Pixels(train.x.shape[1:], known.levels),
        source.publisher,
        known.licence,
        label_names=known.label_names,
        validation=validation,
    )


def is_published(data):
    """Whether `data`, a `Dataset`, is the named set of its name, or was made from it.

    (The user's own folder may have the same name.)
    """
    known = PUBLISHED.get(data.name)
    return known is not None and data.source.startswith(
        tuple(source.publisher for source in known.sources)
    )


def _placed_digits(options):
    """Placed digits made from MNIST if its files are on this machine, else from "digits"."""
    has_mnist = is_at_hand("mnist", PUBLISHED["mnist"].sources)
    return placed_digits.make(read_named("mnist" if has_mnist else "digits"), options)


_TEN_DIGITS = tuple("0123456789")

_CIFAR10 = 'CIFAR-10, Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009'

_BINARIZED_MNIST = (
    "the fixed binarisation of MNIST, Larochelle and Murray, 2011, after Salakhutdinov and Murray, "
    "2008: 50,000 training, 10,000 validation and 10,000 test images"
)

PUBLISHED = {
    "digits": NamedSet(
        description="1,797 handwritten digits, 8x8 grey, 17 levels; comes with scikit-learn",
        levels=17,
        licence="CC BY 4.0",
        label_names=_TEN_DIGITS,
        sources=(
            Source(
                publisher="Optical Recognition of Handwritten Digits, Alpaydin and Kaynak, UCI, "
                "1998, the 1,797 images in scikit-learn, a random 359 of them for testing",
                files={},
                read=formats.read_digits,
            ),
        ),
    ),
    "mnist": NamedSet(
        description="70,000 handwritten digits, 28x28 grey",
        levels=256,
        licence="CC BY-SA 3.0",
        label_names=_TEN_DIGITS,
        sources=(
            Source(
                publisher="MNIST, LeCun, Cortes and Burges, 1998",
                files={
                    "train-images-idx3-ubyte.gz": (
                        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
                    ),
                    "train-labels-idx1-ubyte.gz": (
                        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
                    ),
                    "t10k-images-idx3-ubyte.gz": (
                        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
                    ),
                    "t10k-labels-idx1-ubyte.gz": (
                        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
                    ),
                },
                read=formats.read_idx_files,
                url="https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
        ),
    ),
    "fashion_mnist": NamedSet(
        description="70,000 articles of clothing, 28x28 grey",
        levels=256,
        licence="MIT",
        label_names=(
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        sources=(
            Source(
                publisher="Fashion-MNIST, Xiao, Rasul and Vollgraf, Zalando, 2017, "
                "arXiv:1708.07747",
                files={
                    "train-images-idx3-ubyte.gz": (
                        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
                    ),
                    "train-labels-idx1-ubyte.gz": (
                        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
                    ),
                    "t10k-images-idx3-ubyte.gz": (
                        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
                    ),
                    "t10k-labels-idx1-ubyte.gz": (
                        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
                    ),
                },
                read=formats.read_idx_files,
                url="https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
            ),
        ),
    ),
    "binarized_mnist": NamedSet(
        description="70,000 handwritten digits, 28x28 binary, the fixed binarisation of the papers",
        levels=2,
        licence="none stated; derived from MNIST, which is CC BY-SA 3.0",
        label_names=None,
        sources=(
            Source(
                publisher=_BINARIZED_MNIST,
                files={
                    "binarized_mnist_train.amat": (
                        "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d"
                    ),
                    "binarized_mnist_test.amat": (
                        "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c"
                    ),
                    "binarized_mnist_valid.amat": (
                        "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2"
                    ),
                },
                read=formats.read_amat_files,
                url="http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",
            ),
            Source(
                publisher=_BINARIZED_MNIST,
                files={
                    "binarized_mnist.npz": (
                        "50de2c8299a5a297789293ab2c30f6fc3cb8c359a15e5e88d5501aa18ebb8fa5"
                    ),
                },
                read=formats.read_packed_bits,
            ),
        ),
    ),
    "cifar10": NamedSet(
        description="60,000 photographs of ten kinds of things, 32x32 colour",
        levels=256,
        licence="none stated; its publisher asks users to cite the source",
        label_names=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        sources=(
            Source(
                publisher=_CIFAR10,
                files={
                    "cifar-10-binary.tar.gz": (
                        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
                    ),
                },
                read=formats.read_cifar_archive,
                url="https://www.cs.toronto.edu/~kriz/",
            ),
            Source(
                publisher=f"{_CIFAR10}; subset: 10,000 training, 1,000 test images; not comparable "
                "with published figures",
                files={
                    "cifar10_subset.npz": (
                        "36a9cc4af923f1a74496b4a6f238f2e62e116ca2ab8d2ae5fc2435b798e43be5"
                    ),
                },
                read=formats.read_cifar_subset,
            ),
        ),
    ),
}

SETS = {
    **PUBLISHED,
    "placed_digits": Recipe(
        "22,000 coloured digits placed on 32x32 colour, with captions (of MNIST if at hand); with "
        ":64 64x64, with :attributes or :labels these",
        _placed_digits,
        placed_digits.OPTIONS,
    ),
    "emoji": Recipe(
        "1,601 icons, 72x72 colour, with captions; with :labels their eight categories",
        emoji.read_emoji,
        emoji.OPTIONS,
    ),
    "wordnet_examples": Recipe(
        "42,202 English sentences of 3 to 15 words, the examples in WordNet", texts.read_wordnet
    ),
    "rings": Recipe("12,000 points on three rings in the plane", points.read_rings),
    "moons": Recipe("12,000 points on two half circles in the plane", points.read_moons),
}
