"""The training stages of a run: models trained in turn, each on data the earlier ones prepare."""

import kgen.chosen_backend  # before Keras

# isort: split

import math
import shlex
import statistics
from dataclasses import dataclass

import kgen
from kgen import backend, models, pictures
from kgen.data import Split, is_named
from kgen.errors import KgenError
from kgen.runs.asked import example_of
from kgen.runs.checkpoint import Progress, Store
from kgen.runs.checkpoints import Checkpoints
from kgen.runs.folder import CHECKPOINTS
from kgen.runs.interruption import Interruption
from kgen.runs.patience import Patience, check_metric
from kgen.runs.progress_bar import ProgressBar
from kgen.runs.recorder import Recorder
from kgen.training import GenerativeModel, set_learning_rate


@dataclass(frozen=True)
class Stage:
    """A training stage: a model and its data.

    Attributes:
        number: from 0.
        name: of the stage; "" if the run's model has only one.
        model: the model trained in this stage; with one stage, the run's model itself.
        train: the split to train on.
        validation: the split for validation, or None.
        is_last: whether it is the last stage.
    """

    number: int
    name: str
    model: GenerativeModel
    train: Split
    validation: Split | None
    is_last: bool

    @property
    def suffix(self):
        """Suffix of the names of this stage's files; "" for the first stage."""
        return f"-{self.name}" if self.number else ""


def compile_stages(model, learning_rate=None):
    """Compile the models of all stages with their recommended optimizers.

    Args:
        learning_rate: a constant rate for all of them, or None.
    """
    for _, stage, _ in model.stages():
        stage.compile()
    set_learning_rates(model, learning_rate)


def set_learning_rates(model, learning_rate):
    """Set a constant learning rate in every stage; None changes nothing."""
    if learning_rate:
        for _, stage, _ in model.stages():
            set_learning_rate(stage, learning_rate)


def stage_of(model, data, number):
    """The `Stage` of a number, with prepared data; KgenError if there is none."""
    stages = model.stages()
    if number >= len(stages):
        raise KgenError(
            f"Expected a stage below {len(stages)}, received {number}: take another copy of the "
            "folder."
        )
    name, trained, prepare = stages[number]
    last = number == len(stages) - 1
    name = name if len(stages) > 1 else ""
    validation = None if data.validation is None else prepare(data.validation)
    return Stage(number, name, trained, prepare(data.train), validation, last)


def terms_logged(stage, measurements):
    """The names in a stage's history; sample quality is measured in the last stage."""
    measured = [name for one in measurements for name in one.logged if stage.is_last]
    names = stage.model.metric_names
    validated = () if stage.validation is None else names
    return [*names, *(f"val_{name}" for name in validated), *measured]


def check_patience(model):
    """Raise KgenError unless each stage has a metric to stop early by."""
    for _, stage, _ in model.stages():
        check_metric(stage)


def train(model, images, folder, options, record, progress, measurements):
    print(f"backend: {backend.name()} {backend.version()} on {backend.device()}")
    while True:
        stage = stage_of(model, images, progress.stage)
        picture = train_stage(stage, model, images, folder, options, record, progress, measurements)
        if stage.is_last:
            break
        progress = Progress(
            batch_size=options.batch_size, stage=stage.number + 1, seconds=progress.seconds
        )
        store = Store(folder / CHECKPOINTS)
        store.write(progress, lambda folder: kgen.save(model, folder))
    if picture:
        shown = "picture" if pictures.suffix_of(model.space) == ".png" else "texts"
        print(f"{shown}: {picture}")
    if model.can_sample:
        here = shlex.quote(str(folder))
        out = shlex.quote(str(folder / f"grid{pictures.suffix_of(model.space)}"))
        asked = map(shlex.quote, example_of(model.condition_space, images.test.condition))
        words = [here, "-n 64", *asked, "--out", out, *own_model(options)]
        print("next: python -m kgen.sample", *words)


def own_model(options):
    """The command line option that names the user's own model, as a list; [] for kgen's models."""
    return ["--model", options.model] if models.is_own(options.model) else []


def train_stage(stage, model, images, folder, options, record, progress, measurements):
    """Train one stage; return the path of its last picture, or None."""
    steps = math.ceil(len(images.train) / options.batch_size)
    title = f"{options.model}, {stage.name}," if stage.name else options.model
    print(f"{title} on {images.name}: {options.epochs} epochs of {steps} steps")
    kept_apart = len(images.validation or ())
    print(f"{len(images.train):,} {images.space.what} to train on, {kept_apart:,} for validation")
    if progress.epoch or progress.step:
        print(f"continues {progress}")
    again = [] if is_named(options.data) else ["--data", str(options.data)]
    interruption = Interruption(
        shlex.join(
            ["python", "-m", "kgen.fit", "--resume", str(folder), *again, *own_model(options)]
        )
    )
    held_out = images.validation or images.train
    recorder = Recorder(folder, record, progress, options.epochs, model, held_out, stage)
    patience = Patience(stage.model, options.patience, progress) if options.patience else None
    stopped = patience is not None and patience.stopped  # killed before its model was saved
    checkpoints = Checkpoints(
        Store(folder / CHECKPOINTS),
        lambda _, folder: kgen.save(model, folder),
        progress,
        every=options.checkpoint_every,
        stopping=lambda: interruption.requested or (patience and patience.stopped),
    )
    with interruption, recorder, ProgressBar(progress) as progress_bar:
        stage.model.fit(
            stage.train,
            batch_size=options.batch_size,
            epochs=progress.epoch if stopped else options.epochs,
            verbose=0,
            validation_data=stage.validation,
            callbacks=[
                *(measurements if stage.is_last else []),
                progress_bar,
                recorder,
                *([patience] if patience else []),
                checkpoints,
                *stage.model.watchers(),
                interruption,
            ],
            initial_epoch=progress.epoch,
            initial_step=progress.step,
        )
    if len(progress_bar.epochs) > 1:
        rate = len(images.train) / statistics.median(progress_bar.epochs[1:])
        what = images.space.what
        print(f"speed: {rate:,.0f} {what}/s in epochs after the first, with their validation")
    if patience and progress.best:
        print(patience)
    return recorder.picture
