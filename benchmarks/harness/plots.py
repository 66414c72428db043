"""The plots of the report, as SVG."""

import numpy as np

from kgen import plots

PHASES = ("import", "build", "compile", "first_step", "first_sample")


def dots(values, label):
    """A dot a value: the length of a bar would mean nothing on a logarithmic axis."""
    figure, axes = _axes(len(values))
    axes.plot(list(values.values()), range(len(values)), "o")
    axes.set_yticks(range(len(values)), map(plots.shortened, values))
    axes.grid(axis="x", which="both", alpha=0.3)
    axes.set(xlabel=label, xscale="log")
    axes.invert_yaxis()
    return plots.svg(figure)


def boxes(samples, label):
    figure, axes = _axes(len(samples))
    if samples:
        names = [plots.shortened(name) for name in samples]
        axes.boxplot(list(samples.values()), orientation="horizontal", tick_labels=names)
    axes.set(xlabel=label, xscale="log")
    axes.invert_yaxis()
    return plots.svg(figure)


def stacks(phases):
    figure, axes = _axes(len(phases))
    left = np.zeros(len(phases))
    rows = range(len(phases))
    for phase in PHASES:
        widths = np.array([seconds.get(phase, 0.0) for seconds in phases.values()])
        axes.barh(rows, widths, left=left, label=phase.replace("_", " "))
        left += widths
    axes.set_yticks(rows, map(plots.shortened, phases))
    axes.set_xlabel("seconds")
    axes.invert_yaxis()
    plots.legend_beside(figure)
    return plots.svg(figure)


def _axes(rows):
    figure = plots.new_figure(7, 1.2 + 0.3 * rows)
    return figure, figure.subplots()
