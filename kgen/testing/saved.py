"""Files: what `kgen.save`, and Keras' own formats, keep of a model."""

import keras

from kgen.saving import load, save
from kgen.testing.check import check, has_sampler
from kgen.testing.comparing import array, assert_alike, assert_same, same, state_of

# === kgen's own ===


@check
def loads_what_was_saved(case, folder):
    save(case.taught, folder)
    loaded = load(folder)
    assert loaded.get_config() == case.taught.get_config()
    assert_same(state_of(loaded), case.lessons.state)


@check
def a_loaded_model_samples_alike(case, folder):
    save(case.taught, folder)
    assert same(case.made_by(load(folder)), case.made_by(case.taught))


@check(of_base_class=True)
def a_model_saved_uncompiled_is_loaded_uncompiled(case, folder):
    model = case.uncompiled
    save(model, folder)
    loaded = load(folder)
    assert not loaded.compiled
    assert_same(state_of(loaded), state_of(model))


@check
def training_continues_where_it_was_saved(case, folder):
    """Bit for bit: weights, slots, noise and the order of the items."""
    model = case.anew()
    case.fit_whole_batches(model, shuffle=True, epochs=2)
    expected = state_of(model)
    model = case.anew()
    case.fit_whole_batches(model, shuffle=True, epochs=1)
    save(model, folder)
    loaded = load(folder)
    case.fit_whole_batches(loaded, shuffle=True, epochs=2, initial_epoch=1)
    assert_alike(state_of(loaded), expected)


# === Keras' ===


@check
def keras_format_keeps_weights_and_optimizer(case, folder):
    case.taught.save(folder / "x.keras")
    loaded = keras.saving.load_model(folder / "x.keras")
    assert loaded.compiled
    assert_same(state_of(loaded), case.lessons.state)


@check(of_base_class=True)
def a_weights_file_of_keras_keeps_the_seeds(case, folder):
    model, other = case.uncompiled, case.create(seed=1)
    assert other.seed != model.seed
    model.save_weights(folder / "x.weights.h5")
    other.load_weights(folder / "x.weights.h5")
    assert_same(state_of(other), state_of(model))


@check(needs=has_sampler)
def networks_alone_are_kept_by_the_keras_format(case, folder):
    networks = [part for part in case.uncompiled.layers if isinstance(part, keras.Model)]
    assert len(networks) >= 2
    for network in networks:
        network.save(folder / "x.keras")
        loaded = keras.saving.load_model(folder / "x.keras")
        for ours, theirs in zip(loaded.weights, network.weights, strict=True):
            assert same(array(ours.value), array(theirs.value))
