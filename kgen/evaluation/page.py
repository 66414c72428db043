"""Evaluations side by side as one HTML page that needs nothing but itself."""

import base64
import io
from importlib import resources

from kgen import pictures
from kgen.evaluation.tables import COLUMNS, EXPLANATION, cells, encoder_in_words, notes
from kgen.files import whole_file


def write_page(path, evaluations, title="Evaluation of generative models"):
    """Write the page: plots over all runs, then tables and pictures of each.

    Args:
        path: of the HTML file to write, whole or not at all.
        evaluations: {name of the run: `Evaluation`}.
        title: of the page.

    Raises:
        KgenError: if it cannot be written.
    """
    import jinja2

    source = resources.files("kgen.evaluation").joinpath("page.html").read_text()
    template = jinja2.Environment(autoescape=True).from_string(source)
    page = template.render(
        title=title,
        headings=list(COLUMNS),
        explanation=EXPLANATION,
        plots=[
            (caption, jinja2.utils.markupsafe.Markup(svg)) for caption, svg in _plots(evaluations)
        ],
        runs=[_run(name, found) for name, found in evaluations.items()],
    )
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _run(name, found):
    return {
        "name": name,
        "rows": [(row, cells(figures)) for row, figures in found.rows.items()],
        "notes": notes(found),
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


def _plots(evaluations):
    """(caption, SVG) of every comparison; only what was measured alike is in one plot."""
    with_samples = {name: found for name, found in evaluations.items() if found.rows}
    for used, group in _groups(with_samples, "data_sha256", "encoder_sha256", "encoder", "images"):
        title = f"{used['data']}, {used['images']:,} images, {encoder_in_words(used)}"
        yield f"Frechet distance; | that of other real images ({title})", _distances(group)
        if used["images"] > 3:  # of fewer there are none
            yield (
                f"Precision and recall; x those of other real images ({title})",
                _precisions(group),
            )
    with_likelihood = {name: found for name, found in evaluations.items() if found.likelihood}
    for used, group in _groups(with_likelihood, "data_sha256", "split", "images"):
        title = f"{used['data']}, {used['images']:,} images; of a bound, the bound"
        yield f"Negative log-likelihood with its standard error ({title})", _likelihoods(group)


def _groups(evaluations, *names):
    """(what was used, evaluations) for every set of runs that agree in these names of `used`."""
    groups = {}
    for name, found in evaluations.items():
        groups.setdefault(tuple(found.used[key] for key in names), {})[name] = found
    for group in groups.values():
        yield next(iter(group.values())).used, group


def _distances(evaluations):
    figure, axes = _new_figure(len(evaluations))
    names = list(evaluations)
    rows = [found.rows for found in evaluations.values()]
    axes.barh(names, [row["samples"]["frechet_distance"] for row in rows])
    floors = [row["real images (floor)"]["frechet_distance"] for row in rows]
    axes.plot(floors, names, "|", color="black", markersize=14)
    axes.invert_yaxis()
    axes.set_xlabel("Frechet distance")
    return _svg(figure)


def _precisions(evaluations):
    figure, axes = _new_figure(4)
    for name, found in evaluations.items():
        samples, floor = found.rows["samples"], found.rows["real images (floor)"]
        (points,) = axes.plot(samples["recall"], samples["precision"], "o", label=name)
        axes.plot(floor["recall"], floor["precision"], "x", color=points.get_color())
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.legend()
    return _svg(figure)


def _likelihoods(evaluations):
    figure, axes = _new_figure(len(evaluations))
    figures = [found.likelihood for found in evaluations.values()]
    axes.barh(
        list(evaluations),
        [of_run["bits_per_dimension"] for of_run in figures],
        xerr=[of_run["standard_error_bits"] for of_run in figures],
    )
    axes.invert_yaxis()
    axes.set_xlabel("bits per dimension")
    return _svg(figure)


def _new_figure(rows):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 1.2 + 0.5 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _svg(figure):
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    text = buffer.getvalue()
    return text[text.index("<svg") :]  # without the XML declaration, which HTML has no place for
