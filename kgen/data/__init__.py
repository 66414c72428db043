"""Data sets of images, texts and points as arrays: named, the user's own, and derived ones.

    data = kgen.data.load("mnist")    # data.train.images, data.train.labels, data.test, data.levels
    data = kgen.data.load("my/pictures", size=64, mode="gray")
    data = kgen.data.load(images, labels)    # uint8 arrays in memory
    data = kgen.data.load("placed_digits")   # data.train.x, data.train.condition: captions
    data = kgen.data.load("mnist:edges")     # images and their edges, for image to image

`data.space` and `data.condition_space` describe items and conditions (`kgen.spaces`). Files of
named sets are read from the folder `$KGEN_DATA_DIR/mnist/` (for "mnist"), else from the user's
cache, else downloaded into that cache. Their checksums are always verified.
"""

from kgen.data.dataset import Dataset
from kgen.data.dynamic import DynamicallyBinarized
from kgen.data.folders import read_images
from kgen.data.loading import is_named, load, names
from kgen.data.splits import Split

__all__ = ["Dataset", "DynamicallyBinarized", "Split", "is_named", "load", "names", "read_images"]
