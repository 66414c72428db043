"""Latents: items are encoded, decoded, interpolated and traversed."""

import keras
import numpy as np

from kgen import latent
from kgen.testing.check import check, decodes, has_latents
from kgen.testing.comparing import assert_near_levels, refused, same


@check(needs=decodes)
def decoded_latents_are_items(case):
    latents = np.zeros((3, case.taught.latent_size), "float32")
    decoded = case.taught.decode(latents, **case.condition(3))
    assert (decoded.shape, decoded.dtype) == ((3, *case.item_shape), case.items.dtype)


@check(needs=decodes)
def wrong_latents_are_refused(case):
    size = case.model.latent_size
    for latents, word in ((np.zeros((2, size + 1)), "2, "), (np.zeros(size), "(n, "), ("z", "str")):
        with refused(f"(n, {size})", word):
            case.model.decode(latents, **case.condition(2))
    with refused("finite"):
        case.model.decode(np.full((2, size), np.nan), **case.condition(2))


@check(needs=has_latents)
def encoding_has_one_row_per_item(case):
    encoded = keras.tree.flatten(case.taught.encode(case.items[:3], **case.condition(3)))
    assert {len(part) for part in encoded} == {3}


@check(needs=has_latents)
def latents_are_one_point_per_item(case):
    latents = case.taught.latents(case.items[:3], **case.condition(3))
    assert latents.shape == (3, case.taught.latent_size)


@check(needs=has_latents)
def latents_are_interpolated_between_reconstructions(case):
    model, condition = case.taught, case.condition(3)
    first, second = case.items[:3], case.items[3:6]
    ends = [model.reconstruct(items, **condition) for items in (first, second)]
    for kind in ("linear", "spherical"):
        rows = latent.interpolate(model, first, second, steps=4, kind=kind, **condition)
        assert rows.shape == (3, 4, *case.item_shape)
        assert_near_levels(rows[:, 0], ends[0])
        assert_near_levels(rows[:, -1], ends[1])


@check(needs=decodes)
def latents_themselves_are_interpolated(case):
    model, condition = case.taught, case.condition(3)
    first, second = (
        np.random.default_rng(0).normal(size=(2, 3, model.latent_size)).astype("float32")
    )
    rows = latent.interpolate(model, first, second, steps=4, **condition)
    assert same(rows[:, 0], model.decode(first, **condition))
    assert same(rows[:, -1], model.decode(second, **condition))


@check(needs=has_latents)
def latent_dimensions_are_traversed(case):
    values = np.linspace(-3, 3, 4)
    items = latent.traverse(case.taught, case.items[0], (0, 1), values, **case.condition(1))
    assert items.shape == (4, 4, *case.item_shape)
    assert not same(items[0], items[-1])
    assert not same(items[:, 0], items[:, -1])


@check(needs=has_latents)
def usage_of_latents_is_their_variance(case):
    condition = case.condition(20)
    used = latent.usage(case.taught, case.items[:20], **condition)
    latents = case.taught.latents(case.items[:20], **condition)
    np.testing.assert_allclose(used, latents.var(axis=0), rtol=1e-3, atol=1e-6)


@check(needs=has_latents)
def reconstructions_are_items(case):
    rebuilt = case.taught.reconstruct(case.items[:3], **case.condition(3))
    assert (rebuilt.shape, rebuilt.dtype) == ((3, *case.item_shape), case.items.dtype)


@check(needs=has_latents)
def training_improves_reconstructions(case):
    def error(model):
        rebuilt = model.reconstruct(case.items, **case.condition())
        return np.mean((rebuilt.astype(float) - case.items) ** 2)

    before, after = error(case.anew()), error(case.taught)
    if before == 0:  # as of a bijection, and of a flow that is the identity at first
        assert after < 0.01 * np.var(case.items)
    else:
        assert after < before
