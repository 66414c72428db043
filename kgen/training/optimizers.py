"""What stands for the single optimizer that Keras expects: one per player, or a closed form."""

import keras

from kgen.errors import KgenError


@keras.saving.register_keras_serializable("kgen")
class OptimizerGroup(keras.optimizers.Optimizer):
    """The optimizers of several players, such as a generator and a discriminator.

    A model keeps it in `model.optimizer`, so that Keras threads, donates and saves the slots of
    every member. `group["generator"]` is that player's optimizer.

    Keras' callbacks treat it like `keras.optimizers.MultiOptimizer`, player by player:
    `LearningRateScheduler` calls its schedule with each player's rate, `ReduceLROnPlateau`
    multiplies each rate, `SwapEMAWeights` swaps the weights of members with `use_ema`, and the logs
    have a `learning_rate_<player>`. To set the rate of one player in your own callback:
    `self.model.optimizer["generator"].learning_rate = 1e-4`.

    Args:
        members: {player: Keras optimizer}, in the order in which the players are updated.

    Attributes:
        optimizers: the members as these callbacks see them, each named after its player.
        iterations: number of updates of the last player: the number of train steps, if it is
            updated once a step.
    """

    def __init__(self, members, name="optimizer_group", **kwargs):
        super().__init__(learning_rate=0.0, name=name, **kwargs)
        self.members = {
            player: keras.optimizers.get(member)  # a name, a config or an optimizer
            for player, member in members.items()
        }

    def __getitem__(self, player):
        return self.members[player]

    @property
    def optimizers(self):
        return [_Named(player, member) for player, member in self.members.items()]

    def build(self, variables):
        """Create the slots of every member; `variables` is {player: its trainable variables}."""
        for player, member in self.members.items():
            member.build(variables[player])
        self.built = True

    @property
    def variables(self):
        return [variable for member in self.members.values() for variable in member.variables]

    @property
    def iterations(self):
        *_, last = self.members.values()
        return last.iterations

    @property
    def learning_rate(self):
        raise AttributeError(
            "An OptimizerGroup has one learning rate per player: "
            f"optimizer[player].learning_rate with player in {list(self.members)}."
        )

    def apply(self, grads, trainable_variables=None):
        raise TypeError("Expected optimizer[player].apply(...): a group has no update of its own.")

    def finalize_variable_values(self, var_list):
        """Called by `fit` at its end; has an effect on members with `use_ema`."""
        for member in self.members.values():
            member.finalize_variable_values(member._trainable_variables)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "members": {player: serialize(member) for player, member in self.members.items()},
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        members = {player: deserialize(member) for player, member in config["members"].items()}
        return cls(members, name=config["name"])


@keras.saving.register_keras_serializable("kgen")
class ClosedFormUpdate(keras.optimizers.Optimizer):
    """Stands for the optimizer of a model that is fitted in closed form, see `ClosedForm`.

    It counts the training steps. It has no learning rate and applies no gradients.
    """

    def __init__(self, name="closed_form_update"):
        super().__init__(learning_rate=0.0, name=name)

    def apply(self, grads, trainable_variables=None):
        raise TypeError("Expected no gradients: the model is fitted in closed form.")

    def get_config(self):
        return {"name": self.name}


class _Named:
    """An optimizer under another name; its own name is part of the variable names in saved files.

    Every other attribute is the optimizer's.
    """

    def __init__(self, name, optimizer):
        self.__dict__.update(name=name, optimizer=optimizer)

    def __getattr__(self, attribute):
        return getattr(self.optimizer, attribute)

    def __setattr__(self, attribute, value):
        setattr(self.optimizer, attribute, value)


def checked_optimizer(optimizer, players):
    """The checked optimizer of `compile`; a dict becomes an `OptimizerGroup`.

    Args:
        optimizer: an optimizer, its name or configuration, or {player: optimizer}.
        players: names of the players; empty for a model with a single loss.

    Raises:
        KgenError: for a missing or unknown player, or an optimizer that scales the loss.
    """
    if isinstance(optimizer, dict) and "class_name" not in optimizer:
        optimizer = OptimizerGroup(optimizer)
    received = list(getattr(optimizer, "members", ()))
    if set(received) != set(players):
        expected = f"a dict with the keys {list(players)}" if players else "a single one"
        raise KgenError(
            f"Expected as optimizer {expected}, received {received or optimizer!r}: leave it out "
            "for the recommended one."
        )
    if isinstance(optimizer, type):
        raise KgenError(
            f"Expected an optimizer, received the class {optimizer.__name__}: create one, "
            f"{optimizer.__name__}()."
        )
    optimizer = keras.optimizers.get(optimizer)
    if len(set(map(id, members_of(optimizer)))) < len(members_of(optimizer)):
        raise KgenError(
            "Expected an optimizer for each player, received one for several: create one for each."
        )
    for member in members_of(optimizer):
        _check_unscaled(member)
    return optimizer


def members_of(optimizer):
    """A list of the players' optimizers, or of the single one."""
    return list(getattr(optimizer, "members", {"": optimizer}).values())


def _check_unscaled(optimizer):
    """Raise KgenError for loss scaling, which only float16 needs (kgen does not use it)."""
    is_wrapper = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if is_wrapper or optimizer.loss_scale_factor:
        received = type(optimizer).__name__ if is_wrapper else "loss_scale_factor"
        raise KgenError(
            f"Expected an optimizer without loss scaling, received {received}: losses are float32 "
            "here, leave it out."
        )
