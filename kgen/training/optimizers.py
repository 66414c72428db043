"""One optimizer per player, held together as the single optimizer that Keras expects."""

import keras

from kgen.errors import KgenError


@keras.saving.register_keras_serializable("kgen")
class OptimizerGroup(keras.optimizers.Optimizer):
    """Optimizers of the players of a game, e.g. of a generator and a discriminator.

    A model keeps it in `model.optimizer`, so that Keras itself threads, donates and saves the slots
    of every member; `group["generator"]` is that player's optimizer.

    Args:
        members: {player: Keras optimizer}, in the order in which the players move.

    Attributes:
        iterations: updates of the last player, the one who ends a round: the number of train steps
            when it moves once a step.
    """

    def __init__(self, members, name="optimizer_group", **kwargs):
        super().__init__(learning_rate=0.0, name=name, **kwargs)
        self.members = {
            player: keras.optimizers.get(member)  # a name, a config or an optimizer
            for player, member in members.items()
        }

    def __getitem__(self, player):
        return self.members[player]

    def build(self, variables):
        """Create every member's slots; `variables` is {player: its trainable variables}."""
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
        """Called by `fit` at its end; matters to members with an exponential moving average."""
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


def checked_optimizer(optimizer, players):
    """What `compile` was given for `players` (none: a single loss), a dict made a group.

    Raises:
        KgenError: for a missing or unknown player, or a policy that needs loss scaling.
    """
    if keras.config.dtype_policy().name == "mixed_float16":
        raise KgenError(
            "Expected the dtype policy float32 or mixed_bfloat16, received mixed_float16, "
            "which needs loss scaling: keras.config.set_dtype_policy('mixed_bfloat16')."
        )
    if isinstance(optimizer, dict) and "class_name" not in optimizer:
        optimizer = OptimizerGroup(optimizer)
    received = list(getattr(optimizer, "members", ()))
    if set(received) != set(players):
        expected = f"a dict with the keys {list(players)}" if players else "a single one"
        raise KgenError(f"Expected as optimizer {expected}, received {received or optimizer!r}.")
    return optimizer
