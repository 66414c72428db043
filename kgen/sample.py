"""`python -m kgen.sample RUN`: draw samples from a trained run, on any backend."""

from pathlib import Path

from kgen import cli
from kgen.bounds import Number, Seed
from kgen.errors import KgenError
from kgen.files import atomic_write
from kgen.runs import folder as run_folder
from kgen.runs.trained_models import load_models

MANY = 64  # default number of samples


def parser():
    parser = cli.Parser("python -m kgen.sample", description="Draw samples from a trained run.")
    parser.add_argument("run", metavar="RUN", type=Path, help="folder that kgen.fit wrote")
    parser.add_argument(
        "-n",
        metavar="N",
        type=cli.number(Number),
        help=f"samples (default {MANY}, or one for each condition)",
    )
    parser.add_argument(
        "--condition",
        metavar="WORD",
        nargs="+",
        help="what samples are given, in turn: labels (7 7 7), texts or a file of them "
        "(captions.txt), attributes (red,large=0.5), images or a folder of them, an array "
        "(file.npy), several arrays (file.npz); default: what the model chooses",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="FILE.png: a grid of images or a plot of points; FILE.txt: lines of text; FILE.npy: "
        "the array (n, ...); default RUN/samples.png, or RUN/samples.txt, whose lines are printed, "
        "too",
    )
    parser.add_argument(
        "--sampling",
        metavar="KEY=VALUE",
        nargs="+",
        default=[],
        help="arguments of the model's sampling, such as temperature=0.7 or mode=median; default: "
        "draws of the model for .npy, and what papers show for pictures",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=cli.number(Seed),
        help="equal seeds, equal samples (default: new ones)",
    )
    cli.add_own_models(parser)
    return parser


def main(arguments=None):
    options = parser().parse_args(arguments)
    if options.out and options.out.suffix not in (".png", ".npy", ".txt"):
        raise KgenError(
            f"Expected --out to end in .png, .txt or .npy, received {options.out}: choose one."
        )
    run_folder.check(options.run)
    cli.choose_backend()

    import numpy as np

    from kgen import pictures

    model = load_models([options.run], options.model)[options.run]
    out = options.out or options.run / f"samples{pictures.suffix_of(model.space)}"
    if out.suffix not in (".npy", pictures.suffix_of(model.space)):
        raise KgenError(
            f"Expected --out to end in {pictures.suffix_of(model.space)} or .npy for "
            f"{model.space.what}, received {out}: choose one of the two."
        )
    sampling = sampling_of(model, options.sampling, as_array=out.suffix == ".npy")
    count, condition = asked(model, options)
    samples = model.sample(count, condition, options.seed, **sampling)
    title = ", ".join(f"{name}={value}" for name, value in sampling.items())
    if out.suffix == ".npy":
        with atomic_write(out) as path:
            np.save(path, samples)
    else:
        pictures.save_items(out, samples, model.space, title=title)
        if out.suffix == ".txt" and not options.out:
            print("\n".join(model.space.decode(samples)))
    print(f"{out} ({title})" if title else out)


def sampling_of(model, assignments, as_array):
    """The arguments of `model.sample`: the given ones; else its defaults, or those of pictures."""
    from kgen.description.parameters import assigned, parsed

    given = {name: parsed(text) for name, text in assigned("--sampling", assignments)}
    return model.sampling_arguments(**(({} if as_array else model.picture_arguments) | given))


def asked(model, options):
    """(count, condition) of the samples; conditions are repeated if `-n` asks for more.

    Raises:
        KgenError: for a condition that does not fit the model.
    """
    import numpy as np

    from kgen.runs.asked import asked_condition
    from kgen.spaces import count_of, rows_of

    if options.condition is None:
        return options.n or MANY, None
    names = (run_folder.read_record(options.run).get("data") or {}).get("label_names")
    condition = asked_condition(model.condition_space, options.condition, names)
    count = options.n or count_of(condition)
    return count, rows_of(condition, np.arange(count) % count_of(condition))


if __name__ == "__main__":
    cli.run(main)
