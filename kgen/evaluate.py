"""`python -m kgen.evaluate RUN [RUN ...]`: evaluate trained models, in one table or page."""

from pathlib import Path

from kgen import cli, data
from kgen.bounds import Draws, Samples, Seed
from kgen.errors import KgenError, printable
from kgen.files import write_json
from kgen.runs import folder as run_folder
from kgen.runs.options import stored_options
from kgen.runs.trained_models import load_models


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
    cli.add_max_memory(parser)
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
        help="samples of a likelihood that is a bound (default 10, of diffusion models 2)",
    )
    parser.add_argument(
        "--likelihood-images",
        metavar="N",
        type=cli.number(Samples),
        help="images whose likelihood is computed (default: as many as samples; 50 of models that "
        "take seconds an image, such as diffusion models)",
    )
    parser.add_argument(
        "--split",
        choices=("test", "validation", "train"),
        default="test",
        help="real images (default test); to choose between runs: validation, which a run "
        "keeps apart",
    )
    parser.add_argument(
        "--encoder",
        choices=("classifier", "inception"),
        help="network whose features are compared: the classifier of the data set (that of a named "
        "set comes with kgen, one of your own images is trained), or Inception-V3, for colour "
        "images (default: the classifier where there are labels)",
    )
    parser.add_argument(
        "--sampling",
        metavar="KEY=VALUE",
        nargs="+",
        default=[],
        help="arguments of the models' sampling, such as temperature=0.7; recorded with the "
        "figures (default: draws of what log_prob scores)",
    )
    parser.add_argument("--seed", metavar="N", type=cli.number(Seed), default=0, help="default 0")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the figures, a row a run")
    parser.add_argument("--latex", metavar="FILE", type=Path, help="write the first table")
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
    evaluations = {}
    try:
        for name, found in evaluate_all(sources, options):
            evaluations[name] = found
    finally:  # report what was measured before a run failed
        if evaluations:
            report(evaluations, options)


def report(evaluations, options):
    """Print the tables, and write the requested files."""
    from kgen.evaluation import tables
    from kgen.evaluation.exports import write_csv, write_latex
    from kgen.evaluation.page import write_page

    print(tables.as_text(evaluations))
    if options.json:
        write_json(options.json, {name: found.as_json() for name, found in evaluations.items()})
    for path, write in (
        (options.csv, write_csv),
        (options.latex, write_latex),
        (options.html, write_page),
    ):
        if path:
            write(path, evaluations)
    for path in filter(None, (options.json, options.csv, options.latex, options.html)):
        print(path)


def images_of(folder, options):
    """The arguments of `kgen.data.load` for the images of a run.

    Raises:
        KgenError: if the run was trained on the user's own images and `--data` does not name them
            (a run may come from a stranger, who must not choose what is read); or if `run.json`
            holds no options of a run.
    """
    record = run_folder.read_record(folder)
    again = stored_options(record, folder)  # its data includes the words after a colon
    name = options.data or again.data or (record.get("data") or {}).get("name")
    if options.data is None and not data.is_named(name):
        raise KgenError(
            f"Expected the data that {folder} was trained on, which are your own: --data PATH."
        )
    return {
        "source": name,
        "size": again.size,
        "mode": again.color,
        "grayscale": bool(again.grayscale),
        "max_memory": options.max_memory,
    }


def training_time(folder):
    """{"training": seconds} from the run's record; {} if it is not recorded."""
    seconds = run_folder.read_record(folder).get("seconds")
    return {} if seconds is None else {"training": float(seconds)}


def compared(whole, folder, options):
    """The images of a run to compare with, its validation images apart if they are asked for."""
    if options.split != "validation":
        return whole
    again = stored_options(run_folder.read_record(folder), folder)
    return whole.with_validation(again.validation, again.seed or 0)


def encoder_of(whole, options):
    """The encoder asked for, or the named set's; None leaves the choice to `evaluate`."""
    from kgen import encoders

    if options.encoder:
        return encoders.for_data(whole, name=options.encoder)
    return encoders.frozen_classifier(whole)


def evaluate_all(sources, options):
    """Yield (name, evaluation) of each run; runs on the same images share one reference."""
    import tqdm

    from kgen.description.parameters import assigned, parsed
    from kgen.evaluation import check_images_of, evaluate, images_compared, images_scored
    from kgen.spaces import Pixels

    given = {name: parsed(text) for name, text in assigned("--sampling", options.sampling)}
    runs = load_models(sources, options.model)
    loaded, known = {}, {}  # {arguments of load: images}, {checksum, size: (encoder, reference)}
    chosen = {}  # {folder: (whole set, what is compared with)}
    for folder, source in sources.items():  # check all runs before the first takes minutes
        key = tuple(source.values())
        if key not in loaded:
            loaded[key] = data.load(**source)
        chosen[folder] = loaded[key], compared(loaded[key], folder, options)
        check_images_of(runs[folder], chosen[folder][1], options.split)
    for folder, model in runs.items():
        whole, images = chosen[folder]
        key = images.checksum, len(images.splits[options.split])
        encoder, reference = known.get(key, (None, None))
        if encoder is None and model.can_sample:
            encoder = encoder_of(whole, options)
        count = images_compared(images, options.samples, options.split)
        scored = images_scored(model, count, options.likelihood_images)
        drawn = count if model.can_sample and isinstance(images.space, Pixels) else 0
        unit = images.space.what.removesuffix("s")
        with tqdm.tqdm(total=drawn + scored, unit=unit, desc=printable(folder)) as bar:
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
                sampling=given,
                likelihood_images=options.likelihood_images,
            )
        known[key] = encoder, reference or found.reference
        found.seconds |= training_time(folder)
        yield str(folder), found


if __name__ == "__main__":
    cli.run(main)
