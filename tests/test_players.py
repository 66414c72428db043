"""Players made of several networks, one of which may be in the hands of two players."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kgen
from kgen import testing
from kgen.testing.comparing import array

RATE = 0.125


class InfoToy(kgen.ImageModel):
    """Two players share a normalised trunk; each has a head of its own, and a loss of its head."""

    metric_names = ("judge_loss", "reader_loss")
    players = {"judge": ("trunk", "score"), "reader": ("trunk", "code")}
    can_sample = False

    def __init__(self, image_shape=(8, 8, 1), levels=17, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.trunk = keras.Sequential(
            [
                layers.Input(self.image_shape),
                layers.Flatten(),
                layers.Dense(4),
                layers.BatchNormalization(momentum=0.5),
            ]
        )
        self.score = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
        self.code = keras.Sequential([layers.Input((4,)), layers.Dense(2)])

    def recommended_optimizer(self):
        return {player: keras.optimizers.SGD(RATE) for player in self.players}

    def train_step(self, data):
        images, _ = self.unpack(data)
        losses = {
            f"{player}_loss": self.minimize(self.loss_of, player, head, images, True)[0]
            for player, head in (("judge", self.score), ("reader", self.code))
        }
        return self.track(images, **losses)

    def test_step(self, data):
        images, _ = self.unpack(data)
        losses = {
            "judge_loss": self.loss_of(self.score, images, False)[0],
            "reader_loss": self.loss_of(self.code, images, False)[0],
        }
        return self.track(images, **losses)

    def loss_of(self, head, images, training):
        features = self.trunk(self.scale(images), training=training)
        return ops.mean((head(features) - 1.0) ** 2), {}


IMAGES = kgen.data.load("digits").train.images[:64]


@pytest.fixture
def model():
    kgen.set_seed(0)
    model = InfoToy()
    model.compile()
    return model


def weights_of(model, name):
    return [array(weight.value) for weight in getattr(model, name).trainable_weights]


def statistics_of(model):
    return [array(weight.value) for weight in model.trunk.non_trainable_weights]


def test_a_move_changes_all_networks_of_its_player_and_no_other(model):
    names = ("trunk", "score", "code")
    before = {name: weights_of(model, name) for name in names}
    statistics = statistics_of(model)
    model.minimize(model.loss_of, "judge", model.score, ops.convert_to_tensor(IMAGES), True)
    changed = {
        name: not all(map(np.array_equal, before[name], weights_of(model, name))) for name in names
    }
    assert changed == {"trunk": True, "score": True, "code": False}
    # The trunk is the judge's own, though it is the other player's, too: its statistics move.
    assert not any(map(np.array_equal, statistics, statistics_of(model)))


def test_each_player_has_slots_for_what_it_shares(model):
    model.compile({player: keras.optimizers.SGD(RATE, momentum=0.9) for player in model.players})
    for player, head in (("judge", model.score), ("reader", model.code)):
        learned = [*model.trunk.trainable_variables, *head.trainable_variables]
        assert list(map(id, model.variables_of(player))) == list(map(id, learned))
        slots = [v.shape for v in model.optimizer[player].variables[2:]]  # after count and rate
        assert slots == [v.shape for v in learned]


@pytest.mark.usefixtures("steps_as_kgen_compiles_them")
@pytest.mark.parametrize("way", [{}, {"jit_compile": True}, {"steps_per_execution": 2}], ids=str)
def test_compiled_both_players_move_the_trunk_as_when_run_eagerly(model, way):
    start = [array(v.value) for v in model.variables]
    model.compile(run_eagerly=True)
    model.fit(IMAGES, batch_size=16, shuffle=False, verbose=0)
    expected = [array(v.value) for v in model.variables]
    for variable, value in zip(model.variables, start, strict=True):
        variable.assign(value)
    model.compile(**way)
    history = model.fit(IMAGES, batch_size=16, shuffle=False, verbose=0).history
    assert list(history) == ["judge_loss", "reader_loss"]
    for variable, value in zip(model.variables, expected, strict=True):
        np.testing.assert_allclose(array(variable.value), value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "an_update_changes_only_its_player",
        "every_player_is_updated_in_turn",
        "players_share_no_variable",
        "several_steps_per_execution_train_alike",
        "training_continues_where_it_was_saved",
    ],
)
def test_the_contract_takes_shared_networks(name):
    dict(testing.checks(InfoToy))[name]()


def test_an_optimizer_for_several_players_is_refused():
    model, optimizer = kgen.GAN((8, 8, 1), 17), keras.optimizers.Adam()
    with pytest.raises(kgen.KgenError, match="Expected an optimizer for each player, received one"):
        model.compile(dict.fromkeys(model.players, optimizer))


def test_the_class_of_an_optimizer_is_refused():
    with pytest.raises(kgen.KgenError, match=r"received the class Adam: create one, Adam\(\)"):
        kgen.VAE((8, 8, 1), 17).compile(keras.optimizers.Adam)
