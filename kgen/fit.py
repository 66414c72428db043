"""`python -m kgen.fit`: train a model on images, and look at what it learned.

A run is a folder: `run.json` (what was run, with what), `model/` (for `kgen.sample` and
`kgen.load`), `history.csv`, `losses.png` and `samples/epoch-NNN.png`.
"""

import itertools
import math
from pathlib import Path

from kgen import cli, data, models
from kgen.errors import KgenError
from kgen.files import cannot_write

STEPS_OF_A_SHORT_RUN = 3000


def parser():
    parser = cli.Parser("python -m kgen.fit", description="Train a generative model on images.")
    parser.add_argument("--model", metavar="NAME", default="vae", help="see --list (default vae)")
    parser.add_argument(
        "--data",
        metavar="NAME|PATH",
        default="digits",
        help="a named set, see --list, or a folder of images, or an .npz file (default digits)",
    )
    parser.add_argument(
        "--epochs",
        metavar="N",
        type=cli.whole_number(1),
        help=f"default 10, or as many as make {STEPS_OF_A_SHORT_RUN:,} steps on a small set",
    )
    parser.add_argument(
        "--batch-size", metavar="N", type=cli.whole_number(1), default=64, help="default 64"
    )
    parser.add_argument(
        "--seed", metavar="N", type=cli.whole_number(0), default=0, help="default 0"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="default runs/MODEL-DATA; never overwritten"
    )
    parser.add_argument(
        "--limit", metavar="N", type=cli.whole_number(1), help="use at most N images"
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="arguments of the model, such as latent_size=10 architecture=conv",
    )
    parser.add_argument(
        "--evaluate-every",
        metavar="N",
        type=cli.whole_number(1),
        help="measure 1,000 samples against test images after every N-th epoch (default: never)",
    )
    parser.add_argument("--list", action="store_true", help="show models and data sets")
    return parser


def main(arguments=None):
    options = parser().parse_args(arguments)
    if options.list:
        return show_list()
    models.check_name(options.model)
    cli.choose_backend()
    images = load_images(options)
    folder = make_folder(options.out, f"{options.model}-{images.name}")
    try:
        train(options, images, folder)
    except BaseException:
        if is_empty_folder(folder):
            folder.rmdir()
        raise


def show_list():
    for title, names in (
        ("models (--model)", models.names()),
        ("data sets (--data)", data.names()),
    ):
        print(title)
        for name, description in names.items():
            print(f"  {name:16} {description}")


def load_images(options):
    images = data.load(options.data)
    images = images.limit(options.limit) if options.limit else images
    if len(images.train) < options.batch_size:
        raise KgenError(
            f"Expected at least one batch of {options.batch_size} training images, received "
            f"{len(images.train)}: pass a smaller --batch-size."
        )
    return images


def make_folder(out, name):
    """A new, empty folder: `out`, else the first of runs/NAME, runs/NAME-2, ... that is free."""
    if out is not None:
        candidates = [out]
    else:
        numbered = (Path("runs", f"{name}-{number}") for number in itertools.count(2))
        candidates = itertools.chain([Path("runs", name)], numbered)
    for folder in candidates:
        try:
            if out is None or not is_empty_folder(folder):
                folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise cannot_write(folder, error) from error
    raise KgenError(f"Expected a new folder, but {out} exists already: choose another --out.")


def is_empty_folder(folder):
    return folder.is_dir() and not any(folder.iterdir())


def train(options, images, folder):
    import kgen
    from kgen.callbacks import AdversarialWarnings, SampleQuality
    from kgen.run import Interruption, ProgressBar, Recorder
    from kgen.training.parameters import parse_settings

    settings = parse_settings(models.get(options.model), options.set)
    kgen.set_seed(options.seed)
    model = models.create(options.model, images, **settings)
    model.compile()
    steps = math.ceil(len(images.train) / options.batch_size)
    epochs = options.epochs or max(10, math.ceil(STEPS_OF_A_SHORT_RUN / steps))
    configuration = {
        "model": options.model,
        "settings": settings,
        "data": describe(images, options.data),
        "epochs": epochs,
        "batch_size": options.batch_size,
        "seed": options.seed,
    }
    print(f"{options.model} on {images.name}: {epochs} epochs of {steps} steps")
    print(f"backend: {kgen.backend.name()} {kgen.backend.version()} on {kgen.backend.device()}")
    callbacks = []
    if options.evaluate_every:
        callbacks.append(SampleQuality(images, options.evaluate_every))
    recorder = Recorder(folder, configuration, epochs, images.test)
    with recorder, Interruption() as interruption, ProgressBar() as progress_bar:
        model.fit(
            images.train.images,
            images.train.labels,
            batch_size=options.batch_size,
            epochs=epochs,
            verbose=0,
            validation_data=(images.test.images, images.test.labels),
            callbacks=[*callbacks, progress_bar, recorder, interruption, AdversarialWarnings()],
        )
    print(f"picture: {recorder.picture}")
    if model.can_sample:
        print(f"next: python -m kgen.sample {folder} -n 64 --out {folder}/grid.png")


def describe(images, source):
    return {
        "name": images.name,
        **({} if source in data.names() else {"path": str(Path(source).resolve())}),
        "source": images.source,
        "licence": images.licence,
        "checksum": images.checksum,
        "image_shape": images.image_shape,
        "levels": images.levels,
        "training_images": len(images.train),
        "test_images": len(images.test),
    }


if __name__ == "__main__":
    cli.run(main)
