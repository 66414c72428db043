"""What a model says it has not: its methods name the registered models that have it."""

import numpy as np

from kgen import data, density, latent, probe
from kgen.capabilities import names_with
from kgen.evaluation import SampleQuality
from kgen.testing.check import check
from kgen.testing.comparing import refused


@check(needs=lambda model_class: model_class.likelihood is None)
def models_without_likelihood_say_which_have_one(case):
    model, name = case.uncompiled, case.model_class.__name__
    for log_prob in (model.log_prob, lambda items: density.log_prob(model, items)):
        with refused("with a likelihood", name, names_with("likelihood")):
            log_prob(case.items)


@check(needs=lambda model_class: not model_class.encodes)
def models_that_encode_nothing_say_which_do(case):
    model, items = case.uncompiled, case.items
    uses = [
        *(lambda name=name: getattr(model, name)(items) for name in ("encode", "latents")),
        lambda: latent.usage(model, items),
        lambda: probe.linear_probe(model, None, None),
    ]
    for use in uses:
        with refused("with latents", case.model_class.__name__, names_with("encodes")):
            use()


@check(needs=lambda model_class: not model_class.decodes)
def models_that_decode_nothing_say_which_do(case):
    model, items = case.uncompiled, case.items
    uses = [
        lambda: model.decode(items),
        lambda: latent.traverse(model, items[0], 0),
        lambda: latent.traverse(model, None, (0, 1)),
        lambda: latent.interpolate(model, items[:1], items[1:2]),
    ]
    for use in uses:
        with refused("decodes latents", case.model_class.__name__, names_with("decodes")):
            use()


@check(needs=lambda model_class: not model_class.can_complete)
def models_that_complete_nothing_say_which_do(case):
    mask = np.ones(case.item_shape[:2], bool)
    with refused("completes", case.model_class.__name__, names_with("can_complete")):
        case.uncompiled.complete(case.items, mask)


@check(needs=lambda model_class: not model_class.has_sampler)
def models_without_a_sampler_say_which_have_one(case):
    with refused(
        "one pass through a network", case.model_class.__name__, names_with("has_sampler")
    ):
        case.uncompiled.sampler()


@check(needs=lambda model_class: not model_class.can_sample)
def models_that_cannot_sample_say_which_can(case):
    digits = data.load("digits").limit(20)
    quality = SampleQuality(digits, encoder=lambda images: images.reshape(len(images), -1))
    with refused("draws new images", case.model_class.__name__, names_with("can_sample")):
        case.fit(case.compiled(), callbacks=[quality])
    with refused("cannot sample", case.model_class.__name__, names_with("can_sample")):
        case.uncompiled.sample(1)
