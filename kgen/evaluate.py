"""`python -m kgen.evaluate RUN [RUN ...]`: how good trained models are, as tables or a page."""

from pathlib import Path

from kgen import cli, data, run_folder
from kgen.bounds import Draws, Samples, Seed
from kgen.errors import KgenError
from kgen.files import write_json


def parser():
    parser = cli.Parser(
        "python -m kgen.evaluate",
        description="Measure the samples and the likelihood of trained runs on real images.",
    )
    parser.add_argument(
        "runs", metavar="RUN", type=Path, nargs="+", help="folder that kgen.fit wrote"
    )
    parser.add_argument(
        "--data",
        metavar="NAME|PATH",
        help="the images of the runs, where they are your own (default: the set a run names)",
    )
    parser.add_argument(
        "--samples",
        metavar="N",
        type=cli.number(Samples),
        default=10_000,
        help="images drawn, and compared with as many real ones (default 10000, or all there are)",
    )
    parser.add_argument(
        "--bound-samples",
        metavar="K",
        type=cli.number(Draws),
        default=10,
        help="samples of a likelihood that is a bound (default 10)",
    )
    parser.add_argument(
        "--split", choices=("test", "train"), default="test", help="real images (default test)"
    )
    parser.add_argument(
        "--encoder",
        choices=("classifier", "inception"),
        help="network whose features are compared: a classifier of the data set, or Inception-V3, "
        "for colour images (default: the classifier where there are labels)",
    )
    parser.add_argument("--seed", metavar="N", type=cli.number(Seed), default=0, help="default 0")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures")
    parser.add_argument(
        "--html", metavar="FILE", type=Path, help="write a page with plots and pictures"
    )
    cli.add_own_models(parser)
    return parser


def main(arguments=None):
    options = parser().parse_args(arguments)
    for folder in options.runs:
        run_folder.check(folder)
    sources = {folder: images_of(folder, options) for folder in options.runs}
    cli.choose_backend()
    from kgen.evaluation.tables import as_text

    evaluations = {}
    for name, found in evaluate_all(sources, options):
        evaluations[name] = found
        print(as_text(name, found))
    if options.json:
        content = {name: found.as_json() for name, found in evaluations.items()}
        write_json(options.json, content)
        print(options.json)
    if options.html:
        from kgen.evaluation.page import write_page

        write_page(options.html, evaluations)
        print(options.html)


def images_of(folder, options):
    """The arguments of `kgen.data.load` for the images a run is measured on.

    Raises:
        KgenError: if it was trained on images of the user's own, and `--data` does not say where
            they are. (A run may come from a stranger, who is not to choose what is read.)
    """
    record = run_folder.read_record(folder)
    trained_on, trained_with = (
        value if isinstance(value, dict) else {}
        for value in (record.get("data"), record.get("options"))
    )
    name = options.data or trained_on.get("name")
    if options.data is None and name not in data.names():
        raise KgenError(
            f"Expected the images that {folder} was trained on, which are your own: --data PATH."
        )
    size = trained_with.get("size")
    return {
        "source": name,
        "size": size if type(size) is int else None,
        "grayscale": trained_with.get("grayscale") is True,
    }


def evaluate_all(sources, options):
    """(name, evaluation) of each run, in turn; runs on the same data share their real images."""
    import tqdm

    from kgen import encoders
    from kgen.evaluation import check_images_of, evaluate, images_compared

    runs = cli.load_models(sources, options.model)
    known = {}  # arguments: (images, encoder, what is known of them)
    for folder, source in sources.items():  # all of them before the first takes its minutes
        key = tuple(source.values())
        if key not in known:
            known[key] = data.load(**source), None, None
        check_images_of(runs[folder], known[key][0], options.split)
    for folder, model in runs.items():
        key = tuple(sources[folder].values())
        images, encoder, reference = known[key]
        if options.encoder and encoder is None and model.can_sample:
            encoder = encoders.for_data(images, name=options.encoder)
        parts = model.can_sample + bool(model.likelihood)
        total = parts * images_compared(images, options.samples)
        with tqdm.tqdm(total=total, unit="image", desc=str(folder)) as bar:
            found = evaluate(
                model,
                images,
                samples=options.samples,
                split=options.split,
                seed=options.seed,
                encoder=encoder,
                bound_samples=options.bound_samples,
                reference=reference,
                progress=bar.update,
            )
        known[key] = images, encoder, reference or found.reference
        yield str(folder), found


if __name__ == "__main__":
    cli.run(main)
