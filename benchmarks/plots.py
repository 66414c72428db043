"""The plots of the report, as SVG."""

import io

import numpy as np

PHASES = ("import", "build", "compile", "first_step", "first_sample")


def _axes(rows):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    return figure, axes


def _svg(figure):
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def dots(values, label):
    """A dot a value: the length of a bar would mean nothing on a logarithmic axis."""
    figure, axes = _axes(len(values))
    axes.plot(list(values.values()), list(values), "o")
    axes.grid(axis="x", which="both", alpha=0.3)
    axes.set(xlabel=label, xscale="log")
    axes.invert_yaxis()
    return _svg(figure)


def boxes(samples, label):
    figure, axes = _axes(len(samples))
    if samples:
        axes.boxplot(list(samples.values()), orientation="horizontal", tick_labels=list(samples))
    axes.set(xlabel=label, xscale="log")
    axes.invert_yaxis()
    return _svg(figure)


def stacks(phases):
    figure, axes = _axes(len(phases))
    left = np.zeros(len(phases))
    for phase in PHASES:
        widths = np.array([seconds.get(phase, 0.0) for seconds in phases.values()])
        axes.barh(list(phases), widths, left=left, label=phase.replace("_", " "))
        left += widths
    axes.set_xlabel("seconds")
    axes.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=len(PHASES), frameon=False)  # over no bar
    return _svg(figure)
