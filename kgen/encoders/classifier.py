"""A small classifier for the user's own data: trained once by a fixed recipe, and cached.

Its features are the outputs of the last hidden layer, 128 numbers per image. On grey 28x28 images
they say more than the features of a network trained on colour photographs. Report figures together
with the classifier's hash: a classifier trained on another machine has another scale. Classifiers
of the named sets come with kgen (`frozen.py`).
"""

import contextlib
import hashlib
import itertools
import logging
import sys
from dataclasses import asdict, dataclass

import numpy as np
import tqdm

from kgen.bounds import Classes, checked
from kgen.data.sources import cache_folder
from kgen.errors import KgenError
from kgen.files import atomic_write, cannot_write, open_plain, read_json, write_json

RECIPE = 1  # version of network, training and cache; a new number makes a new encoder
FEATURES = 128
BATCH = 64
EPOCHS = 4
FEWEST_STEPS, MOST_STEPS = 750, 3750  # 3,750 steps are four epochs of MNIST
IMAGES_PER_CHUNK = 500
SEED = 0

logger = logging.getLogger("kgen")


@dataclass(frozen=True)
class Identity:
    """The identity of a classifier, shown with every figure that is measured with it.

    Attributes:
        name: name of the data set it was trained on.
        recipe: version of the recipe, or the script that trained it.
        data_sha256: checksum of the images and labels it was trained and tested on.
        image_shape, levels, classes: of these images and labels.
        test_accuracy: fraction of the test images that it classifies correctly.
        sha256: checksum of the file of its weights.
    """

    name: str
    recipe: int | str
    data_sha256: str
    image_shape: tuple[int, int, int]
    levels: int
    classes: int
    test_accuracy: float
    sha256: str


class Classifier:
    """A trained classifier as an encoder: uint8 images -> float32 features (n, 128).

    Attributes:
        network: the trained network, see `build_network`.
        identity: an `Identity`.
        name: shown with figures.
        sha256: checksum of the weights.
    """

    def __init__(self, network, identity, name):
        self.network = network
        self.identity = identity
        self.name = name
        self.sha256 = identity.sha256

    def __call__(self, images):
        return self._outputs(images)["features"]

    def probabilities(self, images):
        """p(label|image), float32 (n, classes)."""
        return self._outputs(images)["probabilities"]

    def _outputs(self, images):
        expected = tuple(self.identity.image_shape)
        if images.dtype != np.uint8 or images.shape[1:] != expected:
            raise KgenError(
                f"Expected uint8 images of shape {expected} for {self.name}, received "
                f"{images.dtype} of shape {images.shape[1:]}: take the classifier of these images."
            )
        return self.network.predict(images, batch_size=IMAGES_PER_CHUNK, verbose=0)


def trained_classifier(data, progress=False):
    """The classifier of the user's own data: from the cache, or trained now and cached.

    Recipe: convolutions of 16, 32, 64, ... channels that halve the image down to 7 pixels or less,
    batch normalisation, ReLU; 128 hidden units, dropout 0.3. Adam with cosine decay from 0.002 to
    0, over four epochs in batches of 64, but at least 750 steps and at most 3,750. Training takes a
    minute or two on two processor cores; it logs one line.

    Args:
        data: a `kgen.data.Dataset` with labels.
        progress: whether to show a bar while it trains.

    Raises:
        KgenError: for a set without labels, or with labels beyond 65,535.
    """
    if data.classes < 2 or len(data.train) < BATCH:
        raise KgenError(
            f"Expected {BATCH} or more training images with labels of at least two classes for the "
            f"classifier that sample quality is measured by, received {len(data.train)} images, "
            f"{data.classes} classes: put each class into a sub-folder, or evaluate with an "
            "encoder of your own (kgen.evaluation.evaluate(..., encoder=...))."
        )
    checked("classes", data.classes, Classes)  # each is an output of the network
    name = f"{data.name}-{data.checksum[:16]}-{RECIPE}"
    folder = cache_folder().parent / "encoders" / name
    found = _cached(folder)
    if found:
        return found
    with _alone(folder, progress):
        return _cached(folder) or _train(data, folder, progress)


@contextlib.contextmanager
def _alone(folder, progress):
    """Lock: a second process waits, or it would train another classifier with another hash."""
    import filelock

    lock = filelock.FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(filelock.Timeout):
            lock.acquire(timeout=0)
        if not lock.is_locked:
            if progress:
                tqdm.tqdm.write("waiting for the process that trains the encoder", sys.stderr)
            lock.acquire()
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _cached(folder):
    """The classifier in a folder; None if it is missing or damaged."""
    try:
        record = read_json(folder / "encoder.json")
        with open_plain(folder / "weights.npz") as file:
            content = file.read()
        identity = Identity(**{**record, "image_shape": tuple(record["image_shape"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if hashlib.sha256(content).hexdigest() != identity.sha256:
        return None
    network = build_network(identity.image_shape, identity.levels, identity.classes)
    read_weights(folder / "weights.npz", network)
    return _own(network, identity)


def _own(network, identity):
    return Classifier(network, identity, f"classifier of {identity.name} trained on this machine")


def _train(data, folder, progress):
    height, width, channels = data.image_shape
    logger.warning(
        "kgen: no classifier comes with kgen for %s, %dx%dx%d, %d levels: one is trained now. "
        "Figures by it compare only with figures by the same one, on this machine.",
        *(data.name, height, width, channels, data.levels),
    )
    network = build_network(data.image_shape, data.levels, data.classes)
    images, labels = np.asarray(data.train.images), data.train.labels
    order = np.random.default_rng(SEED)
    batches = (
        batch for _ in itertools.count() for batch in batches_of_epoch(images, labels, order)
    )
    steps = min(max(EPOCHS * (len(images) // BATCH), FEWEST_STEPS), MOST_STEPS)
    fit(network, batches, steps, progress)
    identity = Identity(
        name=data.name,
        recipe=RECIPE,
        data_sha256=data.checksum,
        image_shape=data.image_shape,
        levels=data.levels,
        classes=data.classes,
        test_accuracy=accuracy(network, np.asarray(data.test.images), data.test.labels),
        sha256=write_weights(folder / "weights.npz", network),
    )
    write_json(folder / "encoder.json", asdict(identity))
    return _own(network, identity)


def write_weights(path, network, dtype="float32"):
    """Write a network's weights in `dtype`; return the file's sha256."""
    weights = {str(i): weight.astype(dtype) for i, weight in enumerate(network.get_weights())}
    with atomic_write(path) as temporary:
        np.savez(temporary, **weights)
        return hashlib.sha256(temporary.read_bytes()).hexdigest()


def read_weights(path, network):
    """Load weights that `write_weights` wrote, as float32, into a network of the same layers."""
    with np.load(path) as weights:
        network.set_weights(
            [weights[str(index)].astype("float32") for index in range(len(weights.files))]
        )


def build_network(image_shape, levels, classes):
    """The untrained network, from uint8 images to its outputs.

    These are {"features": (n, 128), "probabilities": (n, classes)}, float32.
    """
    import kgen.chosen_backend  # noqa: F401  # before Keras

    # isort: split
    import keras
    from keras import layers

    seeds = itertools.count(SEED)

    def weighted(kind, *args, **kwargs):
        initializer = keras.initializers.GlorotUniform(seed=next(seeds))
        return kind(*args, kernel_initializer=initializer, **kwargs)

    with float32():
        images = keras.Input(image_shape, dtype="uint8")
        x = layers.Rescaling(1.0 / (levels - 1))(images)
        width, strides = 16, 1
        while strides == 1 or min(x.shape[1:3]) > 7:
            convolution = weighted(
                layers.Conv2D, width, 3, strides=strides, padding="same", use_bias=False
            )
            x = layers.BatchNormalization(momentum=0.9)(convolution(x))
            x = layers.ReLU()(x)
            width, strides = width * 2, 2
        x = layers.Flatten()(x)
        features = weighted(layers.Dense, FEATURES, "relu")(x)
        dropped = layers.Dropout(0.3, seed=SEED)(features)
        probabilities = weighted(layers.Dense, classes, "softmax")(dropped)
    return keras.Model(images, {"features": features, "probabilities": probabilities})


@contextlib.contextmanager
def float32():
    """Context manager: layers made in the block are float32, whatever the dtype policy."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def fit(network, batches, steps, progress, title="training the encoder, once"):
    """Train `network` for `steps` batches (uint8 images, labels), with cosine decay to 0."""
    import keras

    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    learner = keras.Model(network.input, network.output["probabilities"])
    learner.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy())
    bar = tqdm.trange(steps, desc=title, disable=not progress)
    for _, (images, labels) in zip(bar, batches, strict=False):
        learner.train_on_batch(images, labels)


def batches_of_epoch(images, labels, order):
    """Yield batches of 64, shuffled by the generator `order`; a smaller last one is dropped."""
    rows = order.permutation(len(images))[: len(images) // BATCH * BATCH]
    for chosen in rows.reshape(-1, BATCH):
        yield images[chosen], labels[chosen]


def accuracy(network, images, labels):
    """The fraction of images whose most probable label is correct."""
    outputs = network.predict(images, batch_size=IMAGES_PER_CHUNK, verbose=0)
    return float(np.mean(outputs["probabilities"].argmax(axis=1) == labels))
