"""`GivenLabels` and `Given`: the conditions of models that are given a label, or anything."""

from typing import Literal

from kgen.bounds import LABELLED, NoClasses, NoCount, NoNames, NoWords
from kgen.errors import KgenError
from kgen.spaces import Attributes, Labels, Tokens
from kgen.training.model import GenerativeModel


class GivenLabels:
    """Mixin of a model whose condition is a label: one of `classes`, or nothing where that is 0.

    The model's constructor takes `classes`, and keeps it before it calls `super().__init__`.
    """

    conditional = True

    @property
    def condition_space(self):
        return Labels(self.classes) if self.classes else None


class Given(GenerativeModel):
    """Base class of models that are given labels, attributes, captions, several or none of these.

    Name it before the other base class: `class MyModel(Given, ImageModel)`.

    The condition is an array if one of the three is given; else a dict of arrays with the names
    "labels", "attributes" and "captions".

    Args:
        classes: number of labels, 0..classes-1; 0 for no labels.
        attributes: names of the attributes; () for none.
        words: that captions consist of; () for no captions.
        length: most words of a caption.
        text_encoder: network that reads captions, "recurrent" (a GRU) or "transformer".
        args, kwargs: arguments of the other base class.
    """

    conditional = True

    def __init__(
        self,
        *args,
        classes: NoClasses = 0,
        attributes: NoNames = (),
        words: NoWords = (),
        length: NoCount = 0,
        text_encoder: Literal["recurrent", "transformer"] = "recurrent",
        **kwargs,
    ):
        if bool(words) != bool(length):
            raise KgenError(
                f"Expected both words and length of captions, or neither, received {len(words)} "
                f"words and length {length}: give both."
            )
        self.classes, self.attributes = classes, attributes
        self.words, self.length, self.text_encoder = words, length, text_encoder
        super().__init__(*args, **kwargs)

    @property
    def condition_space(self):
        spaces = {}
        if self.classes:
            spaces["labels"] = Labels(self.classes)
        if self.attributes:
            spaces["attributes"] = Attributes(self.attributes)
        if self.words:
            spaces["captions"] = Tokens(self.length, self.words)
        return spaces if len(spaces) > 1 else next(iter(spaces.values()), None)

    def check_given(self):
        """Raise KgenError if nothing is given."""
        if self.condition_space is None:
            raise KgenError(
                f"Expected classes to be a whole number from 1, received {self.classes} and no "
                f"words or attributes: {LABELLED}."
            )
