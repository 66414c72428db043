"""Quality of a diffusion model's samples against network evaluations, for every sampler.

    KERAS_BACKEND=jax python -m benchmarks.studies.diffusion_samplers RUN [--images N]

Of a run of `kgen.fit`, finished or not. Each sampler takes as many steps as `--evaluations` of the
network allow; those that it cannot meet are left out. The Frechet distance is between N samples and
N test images, in the features of the data's classifier, with the real images' own (the floor).
Seconds are those of 16 images, after a first call that compiles. Goes, after every case, to
`benchmarks/records/diffusion_samplers-<name of the run>.json`; the plot to
`docs/diffusion_samplers-<name of the run>.png`.

    python -m benchmarks.studies.diffusion_samplers --plot benchmarks/records/NAME.json

draws the plot of a record again.
"""

import argparse
import json
import time
from pathlib import Path

from matplotlib.ticker import LogLocator, NullFormatter

from kgen import plots

DOCS = Path(__file__).parents[2] / "docs"
EVALUATIONS = (5, 10, 18, 35, 50, 100, 250)
TIMED = 16  # images
# {name: arguments of `sample`}: those that a model's sampling takes.
SAMPLERS = {
    "heun": {"sampler": "heun"},
    "heun, churn 40": {"sampler": "heun", "churn": 40.0},
    "ddim (Euler)": {"sampler": "ddim"},
    "dpm_solver++": {"sampler": "dpm_solver++"},
    "ancestral": {"sampler": "ancestral"},
    "rk4": {"sampler": "rk4"},
}
LABELS = {"frechet_distance": "Frechet distance", "seconds": f"seconds for {TIMED} images"}


def steps_of(sampler, most):
    """The steps that take at most `most` evaluations of the network, or 0."""
    from kgen.models.diffusion import samplers

    return max((n for n in range(most + 1) if samplers.evaluations(sampler, n) <= most), default=0)


def cases(model, wanted):
    """Yield (name, evaluations, arguments) of what the model's sampling can do."""
    from kgen.errors import KgenError
    from kgen.models.diffusion import samplers

    for most in wanted:
        for name, arguments in SAMPLERS.items():
            steps = steps_of(arguments["sampler"], most)
            try:
                given = model.sampling_arguments(**arguments, steps=max(1, steps))
            except KgenError:  # a sampler or an argument of another model
                continue
            taken = samplers.evaluations(given["sampler"], steps)
            if 0.8 * most <= taken:
                yield name, taken, given


def measure(model, reference, given, images):
    """The Frechet distance of a number of samples, and the seconds of `TIMED`."""
    from kgen import metrics
    from kgen.evaluation.parts import in_parts
    from kgen.spaces import rows_of

    def sample(rows, seed):
        given_rows = None if model.condition_space is None else rows_of(reference.condition, rows)
        return model.sample(rows.stop - rows.start, given_rows, seed, **given)

    samples = in_parts(images, reference.seed, sample)
    first = slice(0, TIMED)
    sample(first, 0)  # compiles
    started = time.perf_counter()
    sample(first, 1)
    seconds = time.perf_counter() - started
    distance = metrics.frechet_distance(reference.real, reference.encoder(samples))
    return {"frechet_distance": float(distance), "seconds": seconds}


def plot(record, path):
    """Distance and seconds against evaluations, a line a sampler."""
    with plots.saved_figure(path, 9, 3.6) as figure:
        panels = figure.subplots(1, 2)
        names = dict.fromkeys(case["sampler"] for case in record["cases"])
        for name, style in zip(names, plots.styles(), strict=False):
            rows = [case for case in record["cases"] if case["sampler"] == name]
            evaluations = [row["evaluations"] for row in rows]
            for axes, figure_name in zip(panels, LABELS, strict=True):
                axes.plot(evaluations, [row[figure_name] for row in rows], label=name, **style)
        panels[0].axhline(record["floor"], color="black", linestyle="--", label="real images")
        for axes, label in zip(panels, LABELS.values(), strict=True):
            axes.set(xscale="log", yscale="log", xlabel="network evaluations", ylabel=label)
            axes.set_xticks(record["evaluations"], map(str, record["evaluations"]))
            axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")  # figures are saved without formulas
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.grid(alpha=0.3)
        plots.legend_beside(figure)
    print(path)


def study(options):
    """Measure all cases of a run; the record is written after each."""
    import kgen
    from benchmarks.studies.measuring import record_of, write_as
    from kgen.evaluation.summary import FLOOR
    from kgen.runs import folder
    from kgen.runs.trained_models import load_models

    found = folder.read_record(options.run)
    data = kgen.data.load(found["data"]["name"])
    model = load_models([options.run], [])[options.run]
    encoder = kgen.encoders.for_data(data)
    reference = kgen.evaluation.Reference(data, encoder, count=options.images)
    asked = argparse.Namespace(images=reference.count, evaluations=options.evaluations)
    record = record_of(asked) | {
        "run": options.run.name,
        "trained": {"model": found["model"], "settings": found["settings"]},
        "note": options.note,
        "encoder": encoder.name,
        "encoder_sha256": encoder.sha256,
        "floor": reference.rows[FLOOR]["frechet_distance"],
    }
    print(f"real images: Frechet distance {record['floor']:.2f}", flush=True)
    for name, taken, given in cases(model, options.evaluations):
        figures = measure(model, reference, given, reference.count)
        record["cases"].append({"sampler": name, "evaluations": taken, "given": given} | figures)
        print(
            f"{name:<16} {taken:4} evaluations: {figures['frechet_distance']:8.2f}, "
            f"{figures['seconds']:6.2f} s",
            flush=True,
        )
        write_as(record, f"diffusion_samplers-{options.run.name}")
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?", help="folder that kgen.fit wrote")
    parser.add_argument("--images", type=int, default=2000, help="samples of a distance (2000)")
    parser.add_argument("--evaluations", type=int, nargs="+", default=EVALUATIONS)
    parser.add_argument("--note", default="", help="kept in the record: epochs trained, other load")
    parser.add_argument("--plot", type=Path, metavar="RECORD", help="draw the plot of a record")
    options = parser.parse_args()
    if not options.run and not options.plot:
        parser.error("expected a run, or --plot RECORD")
    record = json.loads(options.plot.read_text()) if options.plot else study(options)
    plot(record, DOCS / f"diffusion_samplers-{record['run']}.png")


if __name__ == "__main__":
    main()
