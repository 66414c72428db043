"""A model class under check, with small arguments and real digits."""

import functools

import keras
import numpy as np

from kgen.capabilities import log_prob_arguments
from kgen.description.parameters import constructor_parameters
from kgen.spaces import rows_of
from kgen.testing.states import BATCH_SIZE, COUNT, States
from kgen.testing.toy_data import condition_of, items_of

DIGITS = {"image_shape": (8, 8, 1), "levels": 17}


class InOrder(keras.utils.PyDataset):
    """Batches in the order of the arrays, which a `fit` takes as somebody's own."""

    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return -(-len(self.arrays[0]) // BATCH_SIZE)

    def __getitem__(self, index):
        chosen = slice(index * BATCH_SIZE, (index + 1) * BATCH_SIZE)
        return tuple(rows_of(part, chosen) for part in self.arrays)


class Case(States):
    """A model class with its `small_arguments`, and data of its spaces.

    Args:
        model_class: a `kgen.GenerativeModel`. Its attribute `small_arguments`, if it has one, is a
            dictionary of arguments that make it small. A model of images is made for grey ones of
            8x8 pixels and 17 levels, unless `small_arguments` ask for others.
    """

    def __init__(self, model_class):
        self.model_class = model_class
        small = getattr(model_class, "small_arguments", {})
        known = constructor_parameters(model_class)
        images = {name: value for name, value in DIGITS.items() if name in known}
        self.arguments = images | small

    def release(self):
        """Let go of every model, trained state and data set; they are made again when needed."""
        for name in list(vars(self)):
            if isinstance(getattr(type(self), name, None), functools.cached_property):
                delattr(self, name)

    # === What the model models, and what it is given ===

    @functools.cached_property
    def space(self):
        """What the model models."""
        return self.uncompiled.space

    @functools.cached_property
    def condition_space(self):
        """What the model is given."""
        return self.uncompiled.condition_space

    @functools.cached_property
    def all_items(self):
        """The items, (n, ...)."""
        return items_of(self.space)

    @functools.cached_property
    def all_conditions(self):
        """What `fit` is given beside the items; the digits' labels where it will leave them out."""
        return condition_of(self.condition_space)

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
        return self.all_items[:count], rows_of(self.all_conditions, slice(count))

    def condition(self, count=COUNT):
        """{argument: the conditions of the first items} for inference; {} if nothing is given."""
        if self.condition_space is None:
            return {}
        return {"condition": rows_of(self.all_conditions, slice(count))}

    def entering(self, count):
        """The conditions of the first items as what enters the networks; None if nothing does."""
        return self.uncompiled.checked_condition(self.condition(count).get("condition"), count)

    def are_valid(self, items):
        """Whether values are those that items may have."""
        low, high = self.space.limits or (-np.inf, np.inf)
        return np.isfinite(items).all() and low <= items.min() <= items.max() <= high

    # === Inference ===

    def made_by(self, model, count=8):
        """Items the model makes, equal at every call: samples, or else reconstructions."""
        if model.can_sample:
            return model.sample(count, **self.condition(count), seed=0)
        return model.reconstruct(self.items[:count], **self.condition(count))

    def log_prob(self, model, count=COUNT, **settings):
        """`log_prob` of the first items, given their conditions; in few steps, where it has any."""
        settings = log_prob_arguments(model, steps=20) | settings
        return model.log_prob(self.items[:count], **self.condition(count), **settings)
