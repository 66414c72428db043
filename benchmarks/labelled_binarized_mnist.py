"""Give the fixed binarisation of MNIST, published without labels, those of the digits it came from.

    KGEN_DATA_DIR=... python benchmarks/labelled_binarized_mnist.py binarized_mnist_labelled.npz

Each binary image b was drawn from a grey one, b ~ Bernoulli(x / 255) pixel by pixel. Its origin is
the x of greatest log-likelihood, sum b log x + (1 - b) log(1 - x): black and white pixels are never
wrong, so that the right one stands far above all others. Conditional models are trained on the
file: `python -m kgen.fit --model cvae --data binarized_mnist_labelled.npz`.
"""

import sys

import numpy as np

import kgen

ROWS = 1000  # binary images at a time


def origins(binary, grey):
    """For each binary image its most probable grey one: (index, log-likelihood) arrays."""
    probability = np.clip(grey.reshape(len(grey), -1) / np.float32(255), 1e-4, 1 - 1e-4)
    log_odds = (np.log(probability) - np.log1p(-probability)).T.copy()  # (784, grey images)
    log_none = np.log1p(-probability).sum(axis=1)
    indices, values = [], []
    for start in range(0, len(binary), ROWS):
        rows = binary[start : start + ROWS].reshape(-1, len(log_odds)).astype("float32")
        scores = rows @ log_odds + log_none
        indices.append(scores.argmax(axis=1))
        values.append(scores.max(axis=1))
    return np.concatenate(indices), np.concatenate(values)


def main(path):
    binary, grey = kgen.data.load("binarized_mnist"), kgen.data.load("mnist")
    arrays = {}
    for split, part in {"train": "train", "validation": "val", "test": "test"}.items():
        # The published 10,000 validation images are of MNIST's training images, too.
        images, original = getattr(binary, split).images, grey.splits.get(split, grey.train)
        index, value = origins(images, original.images)
        distinct = len(np.unique(index))
        print(
            f"{split}: {len(images)} binary images from {distinct} grey ones, log-likelihoods "
            f"{value.min():.1f} to {value.max():.1f} nats"
        )
        arrays[f"x_{part}"], arrays[f"y_{part}"] = images, original.labels[index]
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
