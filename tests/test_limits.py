"""An allocation that cannot succeed is one line: what it would take, what there is."""

import math

import numpy as np
import pytest

import kgen
from kgen import cli, memory, pictures
from kgen.description.variables import within_memory
from kgen.errors import KgenError
from kgen.inference import in_chunks
from kgen.models import REGISTRY
from kgen.runs.checkpoint import Progress
from kgen.runs.recorder import Recorder
from kgen.testing.case import Case

SAMPLING = [name for name in REGISTRY if kgen.models.get(name).can_sample]


def test_what_there_is_is_a_number_of_bytes():
    assert 0 < memory.available() < 2**60


def test_a_need_that_is_larger_than_what_there_is_says_both(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 3 * 10**9)
    memory.check_memory(3 * 10**9, "it", "take less")
    with pytest.raises(KgenError) as caught:
        memory.check_memory(4 * 10**9, "it", "take less")
    assert str(caught.value) == (
        "Expected it to fit into memory, received a need of 4.0 GB where 3.0 GB are free: take "
        "less."
    )


@pytest.mark.parametrize("free", [{"_of_a_container": 5}, {"_of_the_process": 5}])
def test_the_smallest_limit_counts(free, monkeypatch):
    for name, number in free.items():
        monkeypatch.setattr(memory, name, lambda *_, number=number: number)
    assert memory.available() == 5


@pytest.mark.parametrize("name", SAMPLING)
def test_more_images_than_memory_holds_are_refused_before_the_first_is_drawn(name, monkeypatch):
    model = Case(kgen.models.get(name)).create()
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    monkeypatch.setattr(np.random, "default_rng", lambda _: 1 / 0)
    with pytest.raises(
        KgenError, match=r"Expected 1,000,000,000 (images|texts) to fit into memory.*GB"
    ):
        model.sample(10**9)
    for count in (0, -1, 1.5, 10**10):
        with pytest.raises(KgenError, match="Expected count to be a whole number from 1 to"):
            model.sample(count)


def test_more_variables_than_memory_holds_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr("kgen.description.variables.available", lambda: 2**27)
    with pytest.raises(KgenError, match=r"variables of a model to fit.*0\.5 GB where 0\.1 GB are"):
        kgen.VAE((8, 8, 1), hidden=(16, 65_536), latent_size=1_000)


def test_slots_of_an_optimizer_count_too(monkeypatch):
    model = kgen.VAE((8, 8, 1), hidden=(4_000, 4_000))  # 260 MB, and slots of twice as many
    monkeypatch.setattr("kgen.description.variables.available", lambda: 2**27)
    with pytest.raises(KgenError, match="variables of a model to fit into memory"):
        model.compile()


def test_small_models_are_built_whatever_there_is(monkeypatch):
    monkeypatch.setattr("kgen.description.variables.available", lambda: 0)
    with within_memory():
        kgen.VAE((8, 8, 1), hidden=(4,)).compile()


def test_a_picture_that_memory_does_not_hold_is_refused(monkeypatch):
    images = np.broadcast_to(np.uint8(0), (10**6, 8, 8, 1))
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    with pytest.raises(KgenError, match=r"Expected 1,000,000 images in one picture.*samples\.npy"):
        pictures.grid(images, 17)


class ForeignError(RuntimeError):
    """As frameworks raise."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 5.82 TiB for an array"),
        ForeignError("RESOURCE_EXHAUSTED: Out of memory allocating 4000000000000 bytes."),
        ForeignError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        ForeignError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
    ids=str,
)
def test_a_shortage_that_nobody_foresaw_is_one_line(error, capsys):
    def main(arguments):
        raise error

    with pytest.raises(SystemExit) as stop:
        cli.run(main, [])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kgen: Expected memory for all that was asked for")


def test_other_errors_keep_their_traceback():
    def main(arguments):
        raise ForeignError("an illegal memory access was encountered")

    with pytest.raises(ForeignError):
        cli.run(main, [])


def test_an_array_that_the_backend_cannot_allocate_is_a_shortage():
    from keras import ops

    with pytest.raises(Exception) as caught:  # noqa: PT011
        np.asarray(ops.ones((2**42,)) + 1.0)
    assert memory.is_shortage(caught.value)


@pytest.mark.parametrize(("shape", "most"), [((28, 28, 1), 256), ((2048, 2048, 1), 1), ((), 256)])
def test_large_images_are_computed_few_at_a_time(shape, most):
    sizes = []

    def count(rows):
        sizes.append(len(rows))
        return np.zeros(len(rows))

    rows = np.broadcast_to(np.uint8(0), (300, *shape))
    assert len(in_chunks(count, rows)) == 300
    assert max(sizes) == most
    assert most == 256 or math.prod(shape) * most <= 2**22


def test_labels_of_tens_of_millions_are_no_classes():
    images = np.zeros((200, 8, 8, 1), "uint8")
    data = kgen.data.load(images, np.array([0, 10**7] * 100))
    for make in (lambda: kgen.models.create("cvae", data), lambda: kgen.encoders.for_data(data)):
        with pytest.raises(KgenError, match=r"classes to be .* received 10000001: .*from 0"):
            make()
    assert kgen.models.create("vae", data).condition_space is None


@pytest.mark.parametrize(
    "error", [ValueError("Image size of 400000x300\npixels"), RuntimeError(""), OverflowError("x")]
)
def test_a_picture_that_fails_is_one_warning_and_ends_no_training(error, tmp_path, caplog):
    def save_loss_plot(path, history):
        raise error

    recorder = Recorder(tmp_path, {}, Progress(), 1, model=None, held_out=None, stage=None)
    for _ in range(2):
        recorder._attempt("losses.png", save_loss_plot, {})
    (record,) = caplog.records
    assert len(record.getMessage().splitlines()) == 1
    assert record.getMessage().startswith("kgen: losses.png is left out: ")
    assert not record.getMessage().endswith(": ")
