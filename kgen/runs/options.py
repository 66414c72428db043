"""The options of `kgen.fit`: parsed, stored in `run.json`, and read again by `--resume`."""

from pathlib import Path

from kgen import cli, data, models
from kgen.bounds import LearningRate, Number, Seed, Side, ValidationSize
from kgen.errors import KgenError

STEPS_OF_A_SHORT_RUN = 3000
DEFAULTS = {"model": "vae", "data": "digits", "batch_size": 64, "seed": 0, "set": []}
# The options that `run.json` stores for `--resume`. A path to the user's own images is not stored:
# a run from a stranger could then read files that the user never named.
KEPT = (
    *("model", "data", "limit", "size", "color", "grayscale", "epochs", "batch_size", "seed"),
    *("evaluate_every", "checkpoint_every", "learning_rate", "set", "validation", "patience"),
)
CHANGEABLE = (
    "data",
    "epochs",
    "checkpoint_every",
    "learning_rate",
    "max_memory",
)  # when a run is continued


def parser():
    parser = cli.Parser("python -m kgen.fit", description="Train a generative model on images.")
    parser.add_argument(
        "--model",
        metavar="NAME|MODULE:CLASS",
        help="see --list, or a class of your own, whose module is in this folder (default vae)",
    )
    parser.add_argument(
        "--data",
        metavar="NAME|PATH",
        help="a named set, see --list, a folder of images, an .npz or .npy file (default digits)",
    )
    parser.add_argument(
        "--epochs",
        metavar="N",
        type=cli.number(Number),
        help=f"default 10, or as many as make {STEPS_OF_A_SHORT_RUN:,} steps on a small set; fewer "
        "of models fitted in closed form",
    )
    parser.add_argument("--batch-size", metavar="N", type=cli.number(Number), help="default 64")
    parser.add_argument("--seed", metavar="N", type=cli.number(Seed), help="default 0")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="default runs/MODEL-DATA; never overwritten"
    )
    parser.add_argument(
        "--limit", metavar="N", type=cli.number(Number), help="use at most N images of each split"
    )
    parser.add_argument(
        "--validation",
        metavar="N",
        type=cli.number(ValidationSize),
        help="validation images: a number, a fraction of the training images, or 0 for none "
        "(default: those of the set, else a tenth of the training images, drawn by --seed)",
    )
    parser.add_argument(
        "--patience",
        metavar="N",
        type=cli.number(Number),
        help="stop after N epochs without a better loss on the validation images, and keep the "
        "weights of the best epoch (default: train all epochs, keep the last weights)",
    )
    parser.add_argument(
        "--size", metavar="N", type=cli.number(Side), help="crop and resize images to N x N"
    )
    cli.add_max_memory(parser)
    color = parser.add_mutually_exclusive_group()
    color.add_argument(
        "--color",
        choices=("rgb", "gray"),
        help="make all images colour, or all grey (default: as they are, all of one kind)",
    )
    color.add_argument("--grayscale", action="store_true", default=None, help="as --color gray")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        help="arguments of the model, such as latent_size=10 architecture=conv",
    )
    parser.add_argument(
        "--learning-rate",
        metavar="RATE",
        type=cli.number(LearningRate),
        help="a constant one, of every player, in place of the model's recommended one",
    )
    parser.add_argument(
        "--evaluate-every",
        metavar="N",
        type=cli.number(Number),
        help="measure 1,000 samples against validation images after every N-th epoch (default: "
        "never)",
    )
    parser.add_argument(
        "--checkpoint-every",
        metavar="N",
        type=cli.number(Number),
        help="one every N steps (default: at every epoch's end, and every 10 minutes)",
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        type=Path,
        help="continue a run at its last checkpoint, to --epochs if there are to be more; images "
        "and a model of your own are named again, by --data and --model",
    )
    parser.add_argument(
        "--list", action="store_true", default=None, help="show models and data sets"
    )
    return parser


def with_defaults(options):
    """The options of a new run, with the defaults that `--help` states."""
    for name, default in DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    return options


def check_changes(options):
    """Raise KgenError for options that `--resume` cannot change."""
    given = {name for name, value in vars(options).items() if value is not None}
    named_again = {"model"} if options.model and models.is_own(options.model) else set()
    unchangeable = given - {"resume", *named_again, *CHANGEABLE}
    if unchangeable:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(unchangeable))
        raise KgenError(
            f"Expected --resume to continue a run as it began, received {flags}: leave it out."
        )


def kept(options):
    """The options to store for `--resume`, as plain values."""
    given = {name: getattr(options, name) for name in KEPT}
    if not data.is_named(given["data"]):
        del given["data"]
    return {name: value for name, value in given.items() if value is not None}


def stored_options(record, folder):
    """The options stored in `run.json`, checked like those of the command line.

    Raises:
        KgenError: if they are no options of a run.
    """
    stored = record.get("options")
    needed = {"model", "epochs", "batch_size"}
    if not isinstance(stored, dict) or not needed <= set(stored) <= set(KEPT):
        raise KgenError(
            f"Expected the options of a run in {folder}/run.json, received none: take another copy "
            "of the folder."
        )
    arguments = []
    for name, value in stored.items():
        if isinstance(value, list) != (name == "set"):
            raise KgenError(
                f"Expected one {name} in {folder}/run.json, received {type(value).__name__}: take "
                "another copy of the folder."
            )
        flag = f"--{name.replace('_', '-')}"
        values = value if isinstance(value, list) else [value]
        arguments += [flag if item is True else f"{flag}={item}" for item in values]
    try:
        again = parser().parse_args(arguments)
        if not models.is_own(again.model):
            models.check_name(again.model)
    except KgenError as error:
        raise KgenError(f"{folder}/run.json: {error}") from error
    return again


def given_again(record, changes):
    """`stored_options` with the changes of the command line.

    Raises:
        KgenError: if they are no options of a run, or if the user's own images are not named again.
    """
    again = stored_options(record, changes.resume)
    _check_named_again(again.model, changes)
    again.data = again.data if data.is_named(again.data) else None
    for name in CHANGEABLE:
        if getattr(changes, name) is not None:
            setattr(again, name, getattr(changes, name))
    if again.data is None:
        raise KgenError(
            f"Expected the data that {changes.resume} was trained on, which are your own: "
            f"python -m kgen.fit --resume {changes.resume} --data PATH"
        )
    return again


def _check_named_again(model, changes):
    """Raise KgenError unless the user names a run's own model class again: its code will run."""
    if models.is_own(model) and changes.model is None:
        raise KgenError(
            f"Expected the model of {changes.resume}, {model[:60]}, to be named by you, for its "
            f"code runs: python -m kgen.fit --resume {changes.resume} --model {model[:60]}"
        )
    if changes.model not in (None, model):
        raise KgenError(
            f"Expected the model {model[:60]} that {changes.resume} began with, received "
            f"--model {changes.model}: name that one, or leave --model out."
        )
