"""A model class under check, with small arguments and real digits."""

import functools

import keras

from kgen import data
from kgen.testing.trained import BATCH_SIZE, COUNT, Trained


class InOrder(keras.utils.PyDataset):
    """Batches in the order of the arrays, which a `fit` takes as somebody's own."""

    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return -(-len(self.arrays[0]) // BATCH_SIZE)

    def __getitem__(self, index):
        chosen = slice(index * BATCH_SIZE, (index + 1) * BATCH_SIZE)
        return tuple(part[chosen] for part in self.arrays)


class Case(Trained):
    """A model class with its `small_arguments`, and data for it: images with labels.

    Args:
        model_class: a `kgen.GenerativeModel`. Its attribute `small_arguments`, if it has one, is a
            dictionary of arguments that make it small. It is made for grey images of 8x8 pixels
            and 17 levels; `small_arguments` may ask for fewer levels.
    """

    def __init__(self, model_class):
        self.model_class = model_class
        small = getattr(model_class, "small_arguments", {})
        self.arguments = {"image_shape": (8, 8, 1), "levels": 17, **small}

    # === What the model models, and what it is given ===

    @functools.cached_property
    def all_items(self):
        """The items, real digits, uint8 (n, height, width, channels)."""
        levels, images = self.arguments["levels"], data.load("digits").train.images
        return images * (levels - 1) // 16 if levels < 17 else images

    @functools.cached_property
    def all_conditions(self):
        """What `fit` is given beside the items: the digits' labels (n,), as many as it knows."""
        return data.load("digits").train.labels % (self.classes or 10)

    @property
    def classes(self):
        """How many labels the model knows; 0 where none enter it."""
        return self.uncompiled.classes

    @property
    def items(self):
        """The first 100 items."""
        return self.all_items[:COUNT]

    @property
    def item_shape(self):
        """The shape of one item."""
        return self.all_items.shape[1:]

    def training_data(self, count=COUNT):
        """(items, conditions) of the first `count`, as `fit` takes them."""
        return self.all_items[:count], self.all_conditions[:count]

    def condition(self, count=COUNT):
        """{argument: the conditions of the first items} for inference; {} if none enter."""
        return {"labels": self.all_conditions[:count]} if self.classes else {}

    def first_condition(self):
        """As `condition`, of the first item alone, for functions that take one item."""
        return {"label": self.all_conditions[0]} if self.condition(1) else {}

    def entering(self, count):
        """The conditions of the first items as the arrays that enter the networks; () if none."""
        return self.uncompiled.checked_labels(self.condition(count).get("labels"), count)

    def are_valid(self, items):
        """Whether values are those that items may have."""
        return items.min() >= 0 and items.max() < self.arguments["levels"]

    # === Inference ===

    def made_by(self, model, count=8):
        """Items the model makes, equal at every call: samples, or else reconstructions."""
        if model.can_sample:
            return model.sample(count, seed=0)
        return model.reconstruct(self.items[:count], **self.condition(count))

    def log_prob(self, model, count=COUNT, **settings):
        """`log_prob` of the first items, given their conditions."""
        return model.log_prob(self.items[:count], **self.condition(count), **settings)
