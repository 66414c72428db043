"""Change an optimizer's learning rate to a constant and keep its state."""

from kgen.bounds import LearningRate, checked
from kgen.errors import KgenError
from kgen.training.optimizers import ClosedFormUpdate, OptimizerGroup, members_of


def set_learning_rate(model, rate):
    """Set a constant learning rate; keep the optimizer's slots and iterations.

    The constant replaces a schedule. In a model of several players it is every player's rate.

    Args:
        model: a compiled model.
        rate: above 0, up to 10.

    Raises:
        KgenError: for a rate out of this range, or a model that is fitted in closed form.

    Examples:
        >>> model = kgen.GAN((8, 8, 1), levels=17)
        >>> model.compile()
        >>> kgen.training.set_learning_rate(model, 1e-3)
        >>> round(float(model.optimizer["generator"].learning_rate), 6)
        0.001
    """
    rate = checked("learning_rate", rate, LearningRate)
    before = model.optimizer
    if isinstance(before, ClosedFormUpdate):
        raise KgenError(
            f"Expected no learning rate for {type(model).__name__}, fitted in closed form, "
            f"received {rate:g}: leave it out, or train by gradient steps."
        )
    model.compile(with_learning_rate(before, rate), **dict(model.compiled_how))
    for old, new in zip(members_of(before), members_of(model.optimizer), strict=True):
        for value, variable in zip(_state(old), _state(new), strict=True):
            variable.assign(value)


def with_learning_rate(optimizer, rate):
    """A new optimizer of the same configuration with a constant rate (each member's in a group).

    A `ClosedFormUpdate` has no rate.
    """
    if isinstance(optimizer, ClosedFormUpdate):
        return ClosedFormUpdate()
    if isinstance(optimizer, OptimizerGroup):
        members = optimizer.members.items()
        return OptimizerGroup({player: with_learning_rate(m, rate) for player, m in members})
    return type(optimizer).from_config({**optimizer.get_config(), "learning_rate": rate})


def _state(optimizer):
    """The optimizer's variables, without the learning rate (a variable if it is constant)."""
    rate = optimizer.learning_rate
    return [variable for variable in optimizer.variables if variable is not rate]
