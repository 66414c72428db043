"""Helpers of all plots: colours for any number of runs, legends, ranges, files."""

import contextlib
import io
import math
from pathlib import Path

import numpy as np

from kgen.errors import KgenError
from kgen.files import atomic_write

FORMATS = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".pdf": "pdf",
    ".svg": "svg",
}
PIXELS = tuple(suffix for suffix in FORMATS if suffix != ".svg")
MARKERS = "osD^v<>ph*P"  # 11 markers, which with ten colours make 110 different pairs
LONGEST_NAME = 40  # characters
LINE, CHARACTER = 0.2, 0.075  # inches per line and per character of a legend
# Values more than so many interquartile ranges beyond the quartiles are left out. No value of a
# normal distribution is so far, nor one with the heavy tails of log-likelihoods.
FAR = 10
LARGEST = 1e100  # larger values are left out, so that differences are finite
LONGEST_BAR = 10  # times the median; longer ones are cut off


def file_format(path, formats=tuple(FORMATS)):
    """The format of a file's suffix; KgenError if it is none of `formats`."""
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise KgenError(
            f"Expected a file name that ends in {', '.join(formats)}, received {str(path)!r}: "
            "choose one of these endings."
        )
    return FORMATS[suffix]


def new_figure(width, height):
    """A Matplotlib figure, width x height in inches, that opens no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@contextlib.contextmanager
def saved_figure(path, width, height):
    """Context manager: a figure that is written to `path` when the block succeeds."""
    form = file_format(path)
    figure = new_figure(width, height)
    yield figure
    with atomic_write(path) as temporary:
        _save(figure, temporary, format=form, dpi=100)


def _save(figure, target, **how):
    """As `figure.savefig`, with literal texts: `$` starts no formula."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text(printable(text.get_text()))
    figure.savefig(target, **how)


def printable(text):
    """Text with escapes for characters that no font has: control characters, lone surrogates."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def svg(figure):
    """The figure as an SVG element for an HTML page."""
    buffer = io.StringIO()
    _save(figure, buffer, format="svg")
    text = buffer.getvalue()
    return text[text.index("<svg") :]  # without the XML declaration, which HTML does not allow


def styles():
    """Yield {"color", "marker"} forever: 110 in a row differ, neighbours in both."""
    index = 0
    while True:
        yield {"color": f"C{index % 10}", "marker": MARKERS[index % len(MARKERS)]}
        index += 1


def shortened(name):
    """A name of at most 40 characters; longer ones lose their middle."""
    name = str(name)
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[1 - half :]}"


def legend_beside(figure):
    """Add one legend for all axes of the figure, to the right of them.

    The figure becomes wider, and taller if the legend has many lines.
    """
    handles, names = [], []
    for axes in figure.axes:
        own = zip(*axes.get_legend_handles_labels(), strict=True)
        new = [(handle, name) for handle, name in own if name not in names]  # each name once
        handles += [handle for handle, _ in new]
        names += [name for _, name in new]
    if not names:
        return
    width, height = figure.get_size_inches()
    beside = 0.6 + CHARACTER * max(map(len, names))
    figure.set_size_inches(width + beside, max(height, 0.5 + LINE * len(names)))
    figure.legend(handles, names, loc="outside right upper", fontsize="small")


def plain_range(*groups):
    """The range (low, high) of the values of all groups, without far outliers (see `FAR`).

    Args:
        groups: arrays of numbers; they may be empty, NaN or infinite.
    """
    lows, highs = [], []
    for values in groups:
        values = np.asarray(values, "float64")
        values = values[np.abs(values) <= LARGEST]  # not NaN, either
        if len(values):
            first, third = np.quantile(values, [0.25, 0.75])
            reach = FAR * (third - first)
            # If nearly all values are equal, the interquartile range is 0: use a mean distance.
            reach = reach or FAR * np.abs(values - first).mean()
            near = values[(first - reach <= values) & (values <= third + reach)]
            lows.append(near.min())
            highs.append(near.max())
    if not lows:
        return 0.0, 1.0
    low, high = min(lows), max(highs)
    margin = 0.5 * max(1.0, abs(low)) if low == high else 0.0
    return float(low - margin), float(high + margin)


def left_out(values, low, high):
    """The values outside of low..high in words: "" or "2 below -310, 1 not finite"."""
    values = np.asarray(values, "float64")
    counts = {
        f"below {low:.4g}": np.sum(np.isfinite(values) & (values < low)),
        f"above {high:.4g}": np.sum(np.isfinite(values) & (values > high)),
        "not finite": np.sum(~np.isfinite(values)),
    }
    return ", ".join(f"{count} {where}" for where, count in counts.items() if count)


def bars(values, label, errors=None):
    """(figure, axes) of a horizontal bar chart with numbers.

    A bar more than ten times as long as the median is cut off, and marked beside its number.

    Args:
        values: {name: number}; a number that is not finite has no bar.
        label: label of the x axis, with the unit.
        errors: {name: standard error}, or None.
    """
    figure = new_figure(7, 1 + 0.35 * len(values))
    axes = figure.subplots()
    numbers = np.array([float(value) for value in values.values()])
    end = _longest(numbers)
    lengths = np.where(np.isfinite(numbers), np.clip(numbers, -end, end), 0)
    cut = np.abs(numbers) > end
    spread = None if errors is None else np.where(cut, 0, [errors[name] for name in values])
    rows = range(len(values))
    drawn = axes.barh(rows, lengths, xerr=spread, color="C0")
    texts = [
        _in_short(number) + (" (cut off)" if far else "")
        for number, far in zip(numbers, cut, strict=True)
    ]
    axes.bar_label(drawn, texts, padding=4, fontsize="small")
    axes.set_yticks(rows, [shortened(name) for name in values])
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.margins(x=0.35 if cut.any() else 0.15)  # for the numbers
    return figure, axes


def _in_short(number):
    return f"{number:,.0f}" if 1000 <= abs(number) < 1e6 else f"{number:.4g}"


def _longest(numbers):
    """The length at which to cut off bars: 1.2 times the longest usual bar; infinity for none."""
    sizes = np.abs(numbers[np.isfinite(numbers)])
    usual = (
        sizes[sizes <= LONGEST_BAR * np.quantile(sizes, 0.5, method="lower")] if len(sizes) else []
    )
    if len(usual) == len(sizes) or not max(usual):
        return math.inf
    return 1.2 * float(max(usual))
