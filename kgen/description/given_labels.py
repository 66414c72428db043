"""`GivenLabels`: what models that are given a label share."""

from kgen.spaces import Labels


class GivenLabels:
    """Mixin of a model whose condition is a label: one of `classes`, or nothing where that is 0.

    The model's constructor takes `classes`, and keeps it before it calls `super().__init__`.
    """

    conditional = True

    @property
    def condition_space(self):
        return Labels(self.classes) if self.classes else None
