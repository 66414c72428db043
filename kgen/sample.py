"""`python -m kgen.sample RUN`: images from a trained run, on any backend."""

from pathlib import Path

from kgen import cli
from kgen.bounds import Number, Seed
from kgen.errors import KgenError
from kgen.files import whole_file
from kgen.runs import folder
from kgen.runs.trained_models import load_models


def parser():
    parser = cli.Parser("python -m kgen.sample", description="Draw images from a trained run.")
    parser.add_argument("run", metavar="RUN", type=Path, help="folder that kgen.fit wrote")
    parser.add_argument(
        "-n", metavar="N", type=cli.number(Number), default=64, help="images (default 64)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.png|FILE.npy",
        help="a grid, or the uint8 array (n, height, width, channels); default RUN/samples.png",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=cli.number(Seed),
        help="equal seeds, equal images (default: new ones)",
    )
    cli.add_own_models(parser)
    return parser


def main(arguments=None):
    options = parser().parse_args(arguments)
    out = options.out or options.run / "samples.png"
    if out.suffix not in (".png", ".npy"):
        raise KgenError(
            f"Expected --out to end in .png or .npy, received {out}: choose one of the two."
        )
    folder.check(options.run)
    cli.choose_backend()

    import numpy as np

    import kgen

    model = load_models([options.run], options.model)[options.run]
    images = model.sample(options.n, seed=options.seed)
    if out.suffix == ".npy":
        with whole_file(out) as path:
            np.save(path, images)
    else:
        kgen.pictures.save_grid(out, images, model.levels)
    print(out)


if __name__ == "__main__":
    cli.run(main)
