"""Models of one's own under a name, beside kgen's."""

import pytest
from toys import Quadratic

import kgen
from kgen.capabilities import names_with


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """What a test registers, the others do not see."""
    monkeypatch.setattr(kgen.models, "REGISTRY", dict(kgen.models.REGISTRY))


def test_a_registered_model_is_created_saved_and_loaded(tmp_path):
    kgen.models.register("quadratic", Quadratic)
    model = kgen.models.create("quadratic", kgen.data.load("digits"))
    kgen.save(model, tmp_path)
    assert type(kgen.load(tmp_path)) is Quadratic
    assert kgen.models.names()["quadratic"].startswith("One weight per pixel")


def test_a_model_is_registered_again_as_a_notebook_does():
    for _ in range(2):
        kgen.models.register("quadratic", Quadratic)
    assert kgen.models.get("quadratic") is Quadratic


def test_the_name_of_another_model_is_refused():
    with pytest.raises(kgen.KgenError, match=r"'vae', which is kgen\.models\.autoencoders"):
        kgen.models.register("vae", Quadratic)


def test_a_model_that_is_not_registered_is_told_how():
    with pytest.raises(kgen.KgenError, match=r"kgen\.models\.register\('name', Quadratic\)"):
        kgen.models.name_of(Quadratic())


@pytest.mark.parametrize(
    ("capability", "some"),
    [
        ("likelihood", {"vae", "pixelcnn", "glow"}),
        ("encodes", {"vae", "realnvp"}),
        ("decodes", {"vae", "glow", "dcgan"}),
        ("can_complete", {"pixelcnn", "gated_pixelcnn"}),
        ("has_sampler", {"vae", "dcgan"}),
        ("can_sample", {"vae", "dcgan", "glow"}),
    ],
)
def test_messages_name_the_models_that_have_a_capability(capability, some):
    named = set(names_with(capability).split(", "))
    assert some <= named < set(kgen.models.REGISTRY)
