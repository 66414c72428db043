"""Grids of images, and plots of losses and of what is found about a model, as PNG files."""

import contextlib
import math

import numpy as np

from kgen.files import whole_file

SMALLEST_SIDE = 56  # smaller images are enlarged to about this many screen pixels
BORDER = 2
GREY = 128


def grid(images, levels, columns=None):
    """Images side by side with a thin border, as one 8-bit PIL image.

    Small images are enlarged smoothly: an 8x8 digit shown as 64 squares is hard to read.

    Args:
        images: uint8 (n, height, width, channels), values 0..levels-1, 1 or 3 channels; or
            (rows, columns, height, width, channels).
        levels: number of pixel values.
        columns: images in a row; None for the rows given, or else the nearest to a square.

    Examples:
        >>> data = kgen.data.load("digits")
        >>> kgen.pictures.grid(data.test.images[:20], data.levels, columns=10).size  # in pixels
        (582, 118)
    """
    from PIL import Image

    if images.ndim == 5:
        columns = columns or images.shape[1]
        images = images.reshape(-1, *images.shape[2:])
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    enlargement = max(1, round(SMALLEST_SIDE / min(height, width)))
    width, height = width * enlargement, height * enlargement
    rows = math.ceil(count / columns)
    size = (columns * (width + BORDER) + BORDER, rows * (height + BORDER) + BORDER)
    mode = "L" if channels == 1 else "RGB"
    canvas = Image.new(mode, size, (GREY,) * channels)
    values = np.round(images * (255.0 / (levels - 1))).astype("uint8")
    for index, image in enumerate(values):
        row, column = divmod(index, columns)
        tile = Image.fromarray(image[..., 0] if channels == 1 else image)
        tile = tile.resize((width, height), Image.Resampling.BICUBIC)
        canvas.paste(tile, (column * (width + BORDER) + BORDER, row * (height + BORDER) + BORDER))
    return canvas


def save_grid(path, images, levels, columns=None):
    """Write `grid(...)` as a PNG file, whole or not at all; KgenError if it cannot be written.

    Examples:
        >>> data = kgen.data.load("digits")
        >>> kgen.pictures.save_grid("digits.png", data.test.images[:20], data.levels)
    """
    picture = grid(images, levels, columns)
    with whole_file(path) as temporary:
        picture.save(temporary, format="PNG")


def save_loss_plot(path, history):
    """Write the curves of `history` ({term: [value per epoch]}), one panel a term, as PNG.

    `val_<term>` is drawn beside its term.

    Examples:
        >>> kgen.pictures.save_loss_plot("losses.png", {"loss": [3.0, 2.0], "val_loss": [3.1, 2.2]})
    """
    terms = [name for name in history if not name.startswith("val_")]
    with _figure(path, (4 * len(terms), 3)) as figure:
        for axes, term in zip(np.ravel(figure.subplots(1, len(terms))), terms, strict=True):
            for name, label in ((term, "training"), (f"val_{term}", "test")):
                if name in history:
                    epochs = range(1, len(history[name]) + 1)
                    axes.plot(epochs, history[name], label=label, marker="." * (len(epochs) < 2))
            axes.set(title=term, xlabel="epoch")
            axes.legend()


def save_histograms(path, groups, quantity, title=None):
    """Write the distributions of one quantity in several groups, over each other, as PNG.

    Args:
        groups: {name: numbers (n,)}, each drawn as shares of its group.
        quantity: what the numbers are, with their unit.
        title: above the plot, or None.

    Examples:
        >>> groups = {"digits": np.array([-80.0, -75.0]), "noise": np.array([-300.0, -290.0])}
        >>> kgen.pictures.save_histograms("log-probs.png", groups, "log p(x) in nats")
    """
    edges = np.histogram_bin_edges(np.concatenate(list(groups.values())), bins=60)
    with _figure(path, (6, 3.5)) as figure:
        axes = figure.subplots()
        for name, values in groups.items():
            shares = np.full(len(values), 1 / len(values))
            axes.hist(values, edges, weights=shares, alpha=0.6, label=f"{name} ({len(values)})")
        axes.set(title=title, xlabel=quantity, ylabel="share of images")
        axes.legend()


def save_confusion(path, labels, predicted, names=None, title=None):
    """Write how many images of each label were given which one, as a square of numbers, as PNG.

    Args:
        labels, predicted: the true and the given labels, whole numbers (n,) from 0.
        names: of the labels, or None for their numbers.
        title: above the plot, or None.

    Examples:
        >>> kgen.pictures.save_confusion("confusion.png", labels=[0, 0, 1], predicted=[0, 1, 1])
    """
    labels, predicted = np.asarray(labels, int), np.asarray(predicted, int)
    count = len(names) if names else max(labels.max(), predicted.max()) + 1
    names = names or range(count)
    counts = np.bincount(labels * count + predicted, minlength=count**2).reshape(count, count)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with _figure(path, (1.5 + 0.45 * count, 1.5 + 0.4 * count)) as figure:
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), number in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, number or "", ha="center", va="center", color=colour, size=8)
        axes.set(title=title, xlabel="given label", ylabel="true label")
        axes.set_xticks(range(count), names, rotation=90 if len(str(names[-1])) > 2 else 0)
        axes.set_yticks(range(count), names)


def save_scatter(path, points, labels, names=None, title=None):
    """Write points of the plane (n, 2), coloured by their labels (n,), whole numbers, as PNG.

    Args:
        names: of the labels from 0 on, or None for their numbers.
        title: above the plot, or None.

    Examples:
        >>> kgen.pictures.save_scatter("plane.png", np.eye(2), labels=[0, 1], names=["a", "b"])
    """
    labels = np.asarray(labels)
    with _figure(path, (6, 5)) as figure:
        axes = figure.subplots()
        for label in np.unique(labels):
            own = points[labels == label]
            name = names[label] if names else label
            axes.scatter(*own.T, s=6, alpha=0.7, color=f"C{label % 10}", label=name)
        axes.set(title=title, xticks=[], yticks=[])
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)


@contextlib.contextmanager
def _figure(path, size):
    """A Matplotlib figure of `size` (inches), written to `path` as PNG when the block succeeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    yield figure
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
