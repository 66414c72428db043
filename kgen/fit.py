"""`python -m kgen.fit`: train a model, write samples and checkpoints, resume a run.

A run is a folder: `run.json` (what was run, with what), `checkpoints/` (the last two, for
`--resume`), `model/` (for `kgen.sample` and `kgen.load`), `history.csv`, `losses.png` and
`samples/epoch-NNN.png`.

Training never uses the test images. Terms named `val_` and `--evaluate-every` are measured on
validation images: those of the set (`binarized_mnist` has 10,000), else a tenth of the training
images, drawn by the seed. With `--patience`, `checkpoints/` also holds the best epoch's, and
`model/` its weights.
"""

import math

from kgen import cli, data, models
from kgen.capabilities import require
from kgen.errors import KgenError
from kgen.runs import folder as run_folder
from kgen.runs.options import (
    STEPS_OF_A_SHORT_RUN,
    check_changes,
    given_again,
    kept,
    parser,
    with_defaults,
)
from kgen.spaces import parts_of


def main(arguments=None):
    options = parser().parse_args(arguments)
    if options.list:
        return show_list()
    return resume(options) if options.resume else start(with_defaults(options))


def show_list():
    for title, names in (
        ("models (--model)", models.names()),
        ("data sets (--data)", data.names()),
    ):
        print(title)
        for name, description in names.items():
            print(f"  {name:16} {description}")


def start(options):
    cli.choose_backend()
    make_known(options.model)
    # Images and folder first: errors then show before a framework takes seconds to import.
    whole = load_images(options)
    images = divided(whole, options)
    name = f"{options.model.rpartition(':')[2]}-{images.name}"
    with run_folder.begun(options.out, name) as folder:
        start_in(folder, options, whole, images)


def make_known(model):
    """Import the user's own model class, or check the name of one of kgen's models."""
    if models.is_own(model):
        models.import_own(model)

        from kgen.description.parameters import check_constructor

        check_constructor(models.get(model))
    else:
        models.check_name(model)


def settings_of(options):
    """The checked model arguments of `--set`, {name: value}."""
    from kgen.description.parameters import parse_settings

    model_class = models.get(options.model)
    if options.evaluate_every:
        require(model_class, "can_sample")
    return parse_settings(model_class, options.set)


def start_in(folder, options, whole, images):
    import kgen
    from kgen.runs.checkpoint import Progress, Store
    from kgen.runs.provenance import environment
    from kgen.runs.stages import check_patience, compile_stages, train

    settings = settings_of(options)
    kgen.set_seed(options.seed)
    model = models.create(options.model, images, **settings)
    check_models_data(model, images)
    check_one_batch(images, options)
    if options.patience:
        check_patience(model)
    compile_stages(model, options.learning_rate)
    measurements = measurements_of(whole, images, options, model)
    steps = math.ceil(len(images.train) / options.batch_size)
    short = model.short_run_epochs or max(10, math.ceil(STEPS_OF_A_SHORT_RUN / steps))
    options.epochs = options.epochs or short
    progress = Progress(batch_size=options.batch_size)
    # Before `run.json`, so that a folder with this file can be resumed; and before the first step,
    # so that a folder that cannot be written fails now.
    store = Store(folder / run_folder.CHECKPOINTS)
    store.write(progress, lambda folder: kgen.save(model, folder))
    record = {
        "model": options.model,
        "settings": settings,
        "data": describe(whole, images),
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "seed": options.seed,
        "learning_rate": options.learning_rate,
        "pictures": sampling_of_pictures(model),
        "options": kept(options),
        **environment(),
    }
    train(model, images, folder, options, record, progress, measurements)


def resume(options):
    check_changes(options)
    folder = options.resume
    # Before anything in the folder is changed: it may be no run, but somebody's files.
    given_again(run_folder.read_record(folder), options)
    run_folder.check(folder)
    cli.choose_backend()
    with run_folder.locked(folder):
        record = run_folder.read_record(folder)
        resume_in(folder, given_again(record, options), record)


def resume_in(folder, options, record):
    make_known(options.model)

    from kgen import saving
    from kgen.runs.checkpoint import Store, check_terms
    from kgen.runs.provenance import environment
    from kgen.runs.stages import set_learning_rates, stage_of, terms_logged, train

    store = Store(folder / run_folder.CHECKPOINTS)
    checkpoint, progress = store.newest()
    # A run stopped after its last checkpoint has no epochs left, but its model is not saved yet.
    finished = progress.epoch >= options.epochs and record.get("status") == "finished"
    if finished:
        raise KgenError(
            f"Expected more than the {progress.epoch} epochs that {folder} was trained for: pass "
            "--epochs N."
        )
    if record.get("status") == "finished" and record.get("stopped_early"):
        raise KgenError(
            f"Expected a run that goes on, but {folder} stopped early, {progress}: its model is "
            "the best one. Start another with a larger --patience."
        )
    if (options.epochs, 0) < (progress.epoch, progress.step):
        raise KgenError(
            f"Expected at least {progress.epoch + bool(progress.step)} epochs, as {folder} stands "
            f"{progress}, received {options.epochs}: pass a larger --epochs, or none."
        )
    whole = load_images(options)
    images = divided(whole, options)
    check_same_images(record.get("data") or {}, describe(whole, images), folder, options.data)
    check_one_batch(images, options)
    if progress.batch_size not in (None, options.batch_size):
        raise KgenError(
            f"Expected the batch size {progress.batch_size} that {folder} was trained with, "
            f"received {options.batch_size} in its run.json: take another copy of the folder."
        )
    if progress.step >= math.ceil(len(images.train) / options.batch_size):
        raise KgenError(
            f"Expected {folder}/run.json and its checkpoints to belong together, received others: "
            "take another copy of the folder."
        )
    if progress.best:
        store.best(progress)  # which will be the run's model
    model = saving.load(checkpoint, continuing=True)
    set_learning_rates(model, options.learning_rate)
    measurements = measurements_of(whole, images, options, model)
    stage = stage_of(model, images, progress.stage)
    check_terms(progress, terms_logged(stage, measurements))
    place = {"epoch": progress.epoch, "step": progress.step}
    record |= {
        "epochs": options.epochs,
        "learning_rate": options.learning_rate,
        "options": kept(options),
        "resumed": [*(record.get("resumed") or []), {"from": place, **environment()}],
    }
    train(model, images, folder, options, record, progress, measurements)


def load_images(options):
    grayscale = bool(options.grayscale)
    return data.load(
        options.data,
        size=options.size,
        mode=options.color,
        grayscale=grayscale,
        max_memory=options.max_memory,
    )


def divided(whole, options):
    """The images to train on: with validation images apart, then limited."""
    images = whole.with_validation(options.validation, options.seed or 0)
    images = images.limit(options.limit) if options.limit else images
    what = images.space.what
    for flag in ("patience", "evaluate_every"):
        if getattr(options, flag) and images.validation is None:
            raise KgenError(
                f"Expected validation {what} for --{flag.replace('_', '-')}, received none of "
                f"{len(images.train)} training {what}: ask for some by --validation."
            )
    return images


def check_one_batch(images, options):
    """Raise KgenError if there are fewer training images than a batch has."""
    if len(images.train) < options.batch_size:
        raise KgenError(
            f"Expected at least one batch of {options.batch_size} training {images.space.what}, "
            f"received {len(images.train)}: pass a smaller --batch-size."
        )


def check_same_images(recorded, received, folder, place):
    """Raise KgenError unless the images of a run are those that its record describes."""
    if "validation_images" not in recorded:
        raise KgenError(
            f"Expected a run with validation images, but {folder} is of an earlier kgen, which "
            "validated on test images: start anew."
        )
    same = ("checksum", "training_images", "validation_images")
    if any(recorded.get(name) != received[name] for name in same):
        raise KgenError(
            f"Expected the data that {folder} was trained on, received others in {place}: pass "
            "their place as --data."
        )


def check_models_data(model, data):
    """Raise KgenError if the model, changed by `--set`, does not fit the data's spaces."""
    spaces = [(model.space, data.space)]
    if model.condition_space is not None:
        made, wanted = parts_of(model.condition_space), parts_of(data.condition_space)
        spaces += [(space, wanted.get(name)) for name, space in made.items()]
    for made, wanted in spaces:
        if wanted is None or not made.holds(wanted):
            raise KgenError(
                f"Expected a model for the {wanted or 'conditions'} of {data.name}, received "
                f"{made}: leave them out of --set, or choose other data."
            )


def measurements_of(whole, images, options, model):
    """The callbacks of `--evaluate-every`; made before a run begins, as there may be no encoder.

    The encoder is that of the whole set, as in `kgen.evaluate`.
    """
    from kgen import encoders
    from kgen.evaluation import SampleQuality

    every = options.evaluate_every
    if not every:
        return []
    whole.check_images("--evaluate-every")
    return [SampleQuality(images, every, encoder=encoders.for_data(whole), model=model)]


def sampling_of_pictures(model):
    """The arguments of `sample` for the run's pictures; {} if the model cannot sample."""
    return model.sampling_arguments(**model.picture_arguments) if model.can_sample else {}


def describe(whole, images):
    """The data of a run, for `run.json`; the checksum is that of the set before it was divided."""
    return {
        "name": images.name,
        "source": images.source,
        "licence": images.licence,
        "checksum": whole.checksum,
        "space": str(images.space),
        "conditions": {name: str(part) for name, part in parts_of(images.condition_space).items()},
        "label_names": images.label_names,
        "training_images": len(images.train),
        "validation_images": len(images.validation or ()),
        "test_images": len(images.test),
    }


if __name__ == "__main__":
    cli.run(main)
