"""Readers of published files: from their folder to the splits (train, test[, validation]).

Each takes the path of the folder and returns a tuple of `Split`. They trust the files, whose
checksums have been verified.
"""

import gzip
import tarfile
from pathlib import Path

import numpy as np

from kgen.data.splits import Split

_DIGITS_SEED, _DIGITS_TEST = 0, 359


def read_digits(folder):
    """scikit-learn's 1,797 digits, which need no folder.

    They have no test split: 20 % are drawn at random with a fixed seed.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images.astype(np.uint8)[..., np.newaxis]
    everything = Split(images, digits.target.astype(np.int64))
    order = np.random.default_rng(_DIGITS_SEED).permutation(len(everything))
    return everything.take(order[_DIGITS_TEST:]), everything.take(order[:_DIGITS_TEST])


def read_idx_files(folder):
    """The four gzipped IDX files of MNIST, and of sets in the same format."""
    return _idx_split(folder, "train"), _idx_split(folder, "t10k")


def _idx_split(folder, part):
    images = _idx_array(folder / f"{part}-images-idx3-ubyte.gz")
    labels = _idx_array(folder / f"{part}-labels-idx1-ubyte.gz")
    return Split(images[..., np.newaxis], labels.astype(np.int64))


def _idx_array(path):
    """The array of an IDX file.

    Its bytes: two zeros, type, number of axes, each axis as a big-endian int32, values.
    """
    with gzip.open(path) as file:
        content = file.read()
    axes = content[3]
    shape = np.frombuffer(content, ">i4", count=axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()


def read_amat_files(folder):
    """Binarised MNIST as text: training, test and validation images."""
    parts = (folder / f"binarized_mnist_{part}.amat" for part in ("train", "test", "valid"))
    return tuple(Split(_amat_images(path)) for path in parts)


def _amat_images(path):
    # One space or newline follows every digit, so the pixels are every second byte.
    digits = np.frombuffer(path.read_bytes(), np.uint8)[::2]
    return (digits - ord("0")).reshape(-1, 28, 28, 1)


def read_packed_bits(folder):
    """Binarised MNIST as `binarized_mnist.npz`, eight pixels a byte; splits as in the text."""
    with np.load(folder / "binarized_mnist.npz") as archive:
        parts = [np.unpackbits(archive[part], axis=1) for part in ("train", "test", "valid")]
    return tuple(Split(part.reshape(-1, 28, 28, 1)) for part in parts)


def read_cifar_archive(folder):
    """CIFAR-10 in its binary version: a tar file of five training batches and a test batch."""
    with tarfile.open(folder / "cifar-10-binary.tar.gz") as archive:
        # In the archive's order: seeking back in a compressed archive is slow.
        batches = {
            Path(member.name).stem: archive.extractfile(member).read()
            for member in archive
            if member.name.endswith(".bin")
        }
    train = b"".join(batches[f"data_batch_{number}"] for number in range(1, 6))
    return _cifar_split(train), _cifar_split(batches["test_batch"])


def _cifar_split(content):
    """Records of one label byte and three colour planes of 32 x 32."""
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Split(np.ascontiguousarray(images), records[:, 0].astype(np.int64))


def read_cifar_subset(folder):
    """CIFAR-10's first training batch and first 1,000 test images, as `cifar10_subset.npz`."""
    with np.load(folder / "cifar10_subset.npz") as archive:
        train = Split(archive["x_train"], archive["y_train"].astype(np.int64))
        test = Split(archive["x_test"], archive["y_test"].astype(np.int64))
    return train, test
