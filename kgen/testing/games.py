"""Games: every player is updated in turn, and no update changes another player."""

import itertools

import keras
import numpy as np

from kgen.spaces import rows_of
from kgen.testing.check import can_sample, check, has_one_loss, has_players
from kgen.testing.comparing import names_of, refused


@check(needs=has_players)
def an_update_changes_only_its_player(case):
    model = case.recorded.model
    names = names_of(model)
    for update in case.updates:
        updated = {names[id(v)] for v in model.variables_of(update.player)}
        networks = model.networks_of(update.player)
        kept = [v for network in networks for v in network.non_trainable_variables]
        kept += [*model.averages.values, model.averages.steps] if model.ema else []
        assert updated <= update.changed <= updated | {names[id(v)] for v in kept}


@check(needs=has_players)
def every_player_is_updated_in_turn(case):
    players = [player for player, _ in itertools.groupby(update.player for update in case.updates)]
    assert players == list(case.model_class.players)


@check(needs=has_players)
def players_share_no_variable(case):
    """But those of a network that both of them name. The networks of one player may share some."""
    model, owned = case.uncompiled, {}
    for player in model.players:
        own = model.networks_of(player)
        assert _learned(own) == {id(v) for v in model.variables_of(player)}
        for network in own:
            owners = tuple(name for name in model.players if network in model.networks_of(name))
            owned[owners] = owned.get(owners, set()) | _learned([network])
    learned = [id(variable) for variable in model.variables_of(None)]  # of this stage
    assert sorted(learned) == sorted(itertools.chain.from_iterable(owned.values()))


def _learned(networks):
    return {id(variable) for network in networks for variable in network.trainable_variables}


@check(needs=lambda model_class: has_players(model_class) and can_sample(model_class))
def samples_move_nearer_to_the_data(case):
    def distance(model):
        samples = model.sample(200, rows_of(condition, slice(200)), seed=0)
        return np.hypot(samples.mean() - items.mean(), samples.std() - items.std())

    items, condition = case.all_items, case.condition(200).get("condition")
    after, before = distance(case.taught), distance(case.anew())
    assert after < 0.95 * before, f"the distance goes from {before} to {after} levels"


@check(needs=has_players, of_base_class=True)
def one_optimizer_for_players_is_refused(case):
    with refused(*case.model_class.players):
        case.uncompiled.compile(optimizer=keras.optimizers.Adam())


@check(needs=has_players, of_base_class=True)
def a_missing_player_is_refused(case):
    first, *_ = case.model_class.players
    with refused(*case.model_class.players):
        case.uncompiled.compile(optimizer={first: keras.optimizers.Adam()})


@check(needs=has_players, of_base_class=True)
def an_unknown_player_is_refused(case):
    names = [*case.model_class.players, "referee"]
    with refused("referee"):
        case.uncompiled.compile(optimizer={name: keras.optimizers.Adam() for name in names})


@check(needs=has_one_loss, of_base_class=True)
def players_of_a_model_without_any_are_refused(case):
    with refused("generator"):
        case.uncompiled.compile(optimizer={"generator": keras.optimizers.Adam()})
