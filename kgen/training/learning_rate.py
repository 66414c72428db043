"""A constant learning rate in place of an optimizer's own, without losing what it has learned."""

from kgen.bounds import LearningRate, checked
from kgen.training.optimizers import OptimizerGroup, members_of


def set_learning_rate(model, rate):
    """Train on at a constant learning rate; the optimizer's slots and iterations go on.

    A schedule is replaced by the constant; of a model of several players every player has it.

    Args:
        model: compiled.
        rate: above 0, up to 10.

    Raises:
        KgenError: for another rate.

    Examples:
        >>> model = kgen.GAN((8, 8, 1), levels=17)
        >>> model.compile()
        >>> kgen.training.set_learning_rate(model, 1e-3)
        >>> round(float(model.optimizer["generator"].learning_rate), 6)
        0.001
    """
    rate = checked("learning_rate", rate, LearningRate)
    before = model.optimizer
    model.compile(with_learning_rate(before, rate), **dict(model.compiled_how))
    for old, new in zip(members_of(before), members_of(model.optimizer), strict=True):
        for value, variable in zip(_state(old), _state(new), strict=True):
            variable.assign(value)


def with_learning_rate(optimizer, rate):
    """A new optimizer like this one, but for a constant rate; of a group, every member's."""
    if isinstance(optimizer, OptimizerGroup):
        members = optimizer.members.items()
        return OptimizerGroup({player: with_learning_rate(m, rate) for player, m in members})
    return type(optimizer).from_config({**optimizer.get_config(), "learning_rate": rate})


def _state(optimizer):
    """Its variables without the rate, which is one of them where it is constant."""
    rate = optimizer.learning_rate
    return [variable for variable in optimizer.variables if variable is not rate]
