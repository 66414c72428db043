"""Train the classifiers that come with kgen, one for each named set.

    python benchmarks/train_classifiers.py [NAME ...]

Writes kgen/encoders/weights/NAME.npz (float16) and prints what `kgen/encoders/frozen.py` is to say
of it, with the Frechet distance between 10,000 training and the test images beside it. New weights
are a new encoder: figures of the old ones do not compare with theirs, and records have to be made
again. Those that come with kgen were trained on one thread of a processor, the ones of the digits
and of MNIST on PyTorch, the others on TensorFlow; elsewhere the recipe gives similar ones.

The networks are those of `kgen.encoders.classifier`, trained longer than on a user's own images,
and on images that are shifted, and mirrored where the mirror image is as common. A new named
set with labels needs a recipe here.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import kgen
from kgen import metrics
from kgen.encoders import classifier

FOLDER = Path(kgen.__file__).parent / "encoders" / "weights"
SEED = 0
COMPARED = 10_000  # images of each split


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained.

    Attributes:
        epochs: over the training images.
        shift: pixels by which an image is moved at most, up or down and left or right.
        mirrored: whether every second image is mirrored.
        source: name of the set with the images and labels; None for the classifier's own.
    """

    epochs: int
    shift: int
    mirrored: bool = False
    source: str | None = None


RECIPES = {
    "digits": Recipe(epochs=80, shift=1),
    "mnist": Recipe(epochs=10, shift=2),
    "fashion_mnist": Recipe(epochs=10, shift=0, mirrored=True),
    # Published without labels: trained on the images of MNIST, drawn binary anew in every epoch.
    "binarized_mnist": Recipe(epochs=4, shift=2, source="mnist"),
    "cifar10": Recipe(epochs=16, shift=2, mirrored=True),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of the sets (default: all)")
    for name in parser.parse_args().names or RECIPES:
        train(name, RECIPES[name])


def train(name, recipe):
    data = kgen.data.load(recipe.source or name, binarize="dynamic" if recipe.source else None)
    network = classifier.build_network(data.image_shape, data.levels, data.classes)
    steps = recipe.epochs * (len(data.train) // classifier.BATCH)
    classifier.fit(network, batches(data.train, recipe), steps, progress=True, title=name)
    path = FOLDER / f"{name}.npz"
    sha256 = classifier.write_weights(path, network, "float16")
    classifier.read_weights(path, network)  # rounded
    test = np.asarray(data.test.images)
    train = np.asarray(data.train.limit(COMPARED).images)
    features = [
        network.predict(images, batch_size=500, verbose=0)["features"] for images in (test, train)
    ]
    print(
        f"{name}: {path.stat().st_size:,} bytes\n"
        f'  data_sha256="{data.checksum}",\n'
        f"  test_accuracy={classifier.accuracy(network, test, data.test.labels):.4f},\n"
        f'  sha256="{sha256}",\n'
        f"  Frechet distance of {len(train):,} training and {len(test):,} test images: "
        f"{metrics.frechet_distance(*features):.3f}",
        flush=True,
    )


def batches(split, recipe):
    """(images, labels) without end: another order, and other shifts, in every epoch."""
    random = np.random.default_rng(SEED)
    for epoch in range(recipe.epochs):
        images = split.images.at_epoch(epoch) if recipe.source else split.images
        for chosen, labels in classifier.batches_of_epoch(images, split.labels, random):
            yield varied(chosen, recipe, random), labels


def varied(images, recipe, random):
    """The images (n, height, width, channels), each moved and perhaps mirrored."""
    count, height, width, _ = images.shape
    margin = recipe.shift
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    rows, columns = random.integers(2 * margin + 1, size=(2, count))
    moved = np.stack(
        [
            image[row : row + height, column : column + width]
            for image, row, column in zip(padded, rows, columns, strict=True)
        ]
    )
    if recipe.mirrored:
        moved[::2] = moved[::2, :, ::-1]
    return moved


if __name__ == "__main__":
    main()
