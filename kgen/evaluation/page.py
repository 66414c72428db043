"""Evaluations side by side as one self-contained HTML page."""

import base64
import io
from importlib import resources

from kgen import pictures, plots
from kgen.evaluation import summary, tables
from kgen.evaluation.summary import CEILING, FLOOR, SAMPLES
from kgen.files import atomic_write


def write_page(path, evaluations, title="Evaluation of generative models"):
    """Write the page: a table with one row per run, plots over all runs, and each run's pictures.

    Args:
        path: of the HTML file, which is written atomically.
        evaluations: {name of the run: `Evaluation`}.
        title: of the page.

    Raises:
        KgenError: if it cannot be written.
    """
    import jinja2

    source = resources.files("kgen.evaluation").joinpath("page.html").read_text("utf-8")
    template = jinja2.Environment(autoescape=True).from_string(source)
    groups = summary.groups(evaluations)
    page = template.render(
        title=title,
        summary_headings=list(summary.COLUMNS),
        headings=list(tables.COLUMNS),
        explanations=[summary.EXPLANATION, tables.EXPLANATION],
        groups=[_group(group) for group in groups],
        plots=[
            (caption, jinja2.utils.markupsafe.Markup(svg))
            for group in groups
            for caption, svg in _plots(group, f" ({tables.title(group)})" * (len(groups) > 1))
        ],
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _group(group):
    reference = [FLOOR, CEILING]
    return {
        "title": tables.title(group),
        "rows": group.table(),
        "legend": group.legend(),
        "runs": [_run(name, found) for name, found in group.evaluations.items()],
        "reference": tables.details(group.reference, reference) if group.reference else [],
    }


def _run(name, found):
    return {
        "name": name,
        "rows": tables.details(found, [SAMPLES]) if found.rows else [],
        "notes": tables.notes(found),
        "pictures": list(_pictures(found)),
    }


def _pictures(found):
    levels = found.used["levels"]
    if found.samples is not None:
        yield "Samples, in the order drawn", _png(pictures.grid(found.samples, levels))
        caption = "The samples that are nearest to training images, each above its nearest"
        pairs = found.copies.swapaxes(0, 1)  # (2, n, height, width, channels)
        yield caption, _png(pictures.grid(pairs, levels))


def _png(image):
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _plots(group, where):
    """(caption, SVG) of each plot that compares the runs of a group."""
    with_samples = {name: found for name, found in group.evaluations.items() if found.rows}
    if with_samples:
        floor, ceiling = (group.reference.rows[name] for name in (FLOOR, CEILING))
        caption = (
            f"Frechet distance; of real images (floor, dashed) {floor['frechet_distance']:.4g}, "
            f"of noise (ceiling) {ceiling['frechet_distance']:.4g}"
        )
        yield caption + where, _distances(with_samples, floor)
        if floor["precision"] is not None:  # too few images
            caption = "Precision and recall; the cross: of other real images (floor)"
            yield caption + where, _precisions(with_samples, floor)
    with_likelihood = {name: found for name, found in group.evaluations.items() if found.likelihood}
    if with_likelihood:
        caption = "Negative log-likelihood, its bound, or its estimate, with its standard error"
        yield caption + where, _likelihoods(with_likelihood)


def _distances(evaluations, floor):
    distances = {
        name: found.rows[SAMPLES]["frechet_distance"] for name, found in evaluations.items()
    }
    figure, axes = plots.bars(distances, "Frechet distance")
    axes.axvline(floor["frechet_distance"], color="black", linestyle="--", linewidth=1)
    return plots.svg(figure)


def _precisions(evaluations, floor):
    figure = plots.new_figure(4.5, 4.2)
    axes = figure.subplots()
    for (name, found), style in zip(evaluations.items(), plots.styles(), strict=False):
        samples = found.rows[SAMPLES]
        label = plots.shortened(name)
        axes.plot(samples["recall"], samples["precision"], linestyle="", label=label, **style)
    place = floor["recall"], floor["precision"]
    axes.plot(*place, "x", color="black", markersize=9, label=FLOOR)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="recall", ylabel="precision")
    plots.legend_beside(figure)
    return plots.svg(figure)


def _likelihoods(evaluations):
    figures = {name: found.likelihood for name, found in evaluations.items()}
    bits, errors = (
        {name: found[part] for name, found in figures.items()}
        for part in ("bits_per_dimension", "standard_error_bits")
    )
    return plots.svg(plots.bars(bits, "bits per dimension", errors)[0])
