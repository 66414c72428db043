"""Save grids of images, and plots of losses and analyses, as files.

The suffix determines the format: .png, .jpg, .webp, .tif or .pdf; for plots also .svg.
"""

import math

import numpy as np

from kgen import plots
from kgen.errors import KgenError
from kgen.files import atomic_write
from kgen.memory import check_memory
from kgen.spaces import Pixels, Tokens

SMALLEST_SIDE = 56  # smaller images are enlarged to about this many pixels
MOST_PANELS = 100
TRIPLES_IN_A_ROW = 4
BORDER = 2
GREY = 128
FEWER = "choose fewer, or an array: --out samples.npy"


def grid(images, levels, columns=None):
    """A grid of images with thin borders, as one 8-bit PIL image.

    Small images are enlarged smoothly (bicubic), because an 8x8 digit of 64 squares is hard to
    read.

    Args:
        images: uint8 (n, height, width, channels), values 0..levels-1, 1 or 3 channels; or
            (rows, columns, height, width, channels).
        levels: number of pixel values.
        columns: images per row; None for those of a 5-dimensional array, else a square grid.

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
    pixels = size[0] * size[1]
    check_memory(pixels * channels, f"{count:,} images in one picture", FEWER)
    mode = "L" if channels == 1 else "RGB"
    canvas = Image.new(mode, size, (GREY,) * channels)
    for index, image in enumerate(images):
        shown = np.round(image * (255.0 / (levels - 1))).astype("uint8")
        row, column = divmod(index, columns)
        tile = Image.fromarray(shown[..., 0] if channels == 1 else shown)
        tile = tile.resize((width, height), Image.Resampling.BICUBIC)
        canvas.paste(tile, (column * (width + BORDER) + BORDER, row * (height + BORDER) + BORDER))
    return canvas


def save_grid(path, images, levels, columns=None, title=None):
    """Write `grid(...)` to a file atomically.

    In a PNG, the `title` is stored as the text chunk "Title".

    Raises:
        KgenError: if it cannot be written, or for a suffix that is no image format.

    Examples:
        >>> data = kgen.data.load("digits")
        >>> kgen.pictures.save_grid("digits.png", data.test.images[:20], data.levels)
    """
    form = plots.file_format(path, plots.PIXELS)
    picture = grid(images, levels, columns)
    with atomic_write(path) as temporary:
        picture.save(temporary, format=form, **_with_title(form, title))


def _with_title(form, title):
    """The arguments of pillow that store a title in a PNG; {} for other formats."""
    if not title or form.lower() != "png":
        return {}
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("Title", title)
    return {"pnginfo": texts}


def suffix_of(space):
    """The suffix of a file that shows items of a space: .png, or .txt for texts.

    Examples:
        >>> kgen.pictures.suffix_of(kgen.spaces.Pixels((8, 8, 1), levels=17))
        '.png'
    """
    return ".txt" if isinstance(space, Tokens) else ".png"


def save_items(path, items, space, title=None):
    """Write items to a file: images as a grid, texts as lines, vectors as a scatter plot.

    Args:
        path: of the file; see `suffix_of`.
        items: an array of items of `space`; the first two numbers of vectors are drawn.
        space: a `kgen.spaces.Space`.
        title: a note for readers, such as a temperature, or None. In a PNG of images it is the text
            chunk "Title".

    Examples:
        >>> data = kgen.data.load("digits")
        >>> kgen.pictures.save_items("digits.png", data.test.images[:20], data.space)
    """
    if isinstance(space, Tokens):
        with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in space.decode(items))
    elif isinstance(space, Pixels):
        save_grid(path, items, space.levels, title=title)
    else:
        save_scatter(path, items[:, :2], np.zeros(len(items), int), title=title)


def save_triples(path, sources, samples, targets, source_space, space, title=None):
    """Write a grid of triples: a source image, a model's sample for it, and the target.

    Args:
        path: of the file.
        sources: images of `source_space`, shown in the size and levels of the samples.
        samples, targets: as many images of `space`.
        source_space, space: `kgen.spaces.Pixels`.
        title: as in `save_grid`.

    Examples:
        >>> data = kgen.data.load("digits:edges")
        >>> first = data.test.limit(8)
        >>> kgen.pictures.save_triples(
        ...     "edges.png", first.condition, first.x, first.x, data.condition_space, data.space
        ... )
    """
    shown = source_space.converted(sources, space)
    images = np.stack([shown, samples, targets], axis=1).reshape(-1, *space.shape)
    save_grid(path, images, space.levels, columns=3 * TRIPLES_IN_A_ROW, title=title)


def save_loss_plot(path, history):
    """Plot `history` ({term: [value per epoch]}) with one panel per term.

    `val_<term>` is drawn in the panel of its term. Values far from all others are left out, and the
    panel's title says so.

    Examples:
        >>> kgen.pictures.save_loss_plot("losses.png", {"loss": [3.0, 2.0], "val_loss": [3.1, 2.2]})
    """
    terms = [name for name in history if not name.startswith("val_")]
    if not 0 < len(terms) <= MOST_PANELS:
        raise KgenError(
            f"Expected 1 to {MOST_PANELS} terms to plot, received {len(terms)}: choose some."
        )
    with plots.saved_figure(path, 4 * len(terms), 3) as figure:
        for axes, term in zip(np.ravel(figure.subplots(1, len(terms))), terms, strict=True):
            curves = {
                label: np.asarray(history[name], "float64")
                for name, label in ((term, "training"), (f"val_{term}", "validation"))
                if name in history
            }
            low, high = plots.plain_range(*curves.values())
            for label, values in curves.items():
                shown = (low <= values) & (values <= high)
                # A line would not show an isolated epoch.
                points = "" if shown.all() and len(shown) > 1 else "."
                axes.plot(1 + np.flatnonzero(shown), values[shown], label=label, marker=points)
            # NaN means not measured in that epoch.
            values = np.concatenate(list(curves.values()))
            outside = plots.left_out(values[~np.isnan(values)], low, high)
            name = plots.shortened(term)
            title = f"{name} (left out: {outside})" if outside else name
            axes.set_title(title, fontsize="medium" if outside else "large")
            axes.set_xlabel("epoch")
        plots.legend_beside(figure)


def save_histograms(path, groups, quantity, title=None):
    """Plot overlaid histograms of one quantity in several groups.

    Values more than ten interquartile ranges beyond their group's quartiles are left out; the
    legend counts them.

    Args:
        path: of the file.
        groups: {name: numbers (n,)}, each drawn as fractions of its group.
        quantity: label of the x axis, with the unit.
        title: above the plot, or None.

    Examples:
        >>> groups = {"digits": np.array([-80.0, -75.0]), "noise": np.array([-300.0, -290.0])}
        >>> kgen.pictures.save_histograms("log-probs.png", groups, "log p(x) in nats")
    """
    low, high = plots.plain_range(*groups.values())
    edges = np.linspace(low, high, 61)
    with plots.saved_figure(path, 5, 3.5) as figure:
        axes = figure.subplots()
        for name, values in groups.items():
            values = np.asarray(values, "float64")
            shares = np.full(len(values), 1 / max(len(values), 1))
            outside = plots.left_out(values, low, high)
            label = f"{name} ({len(values)}{'; left out: ' * bool(outside)}{outside})"
            inside = (low <= values) & (values <= high)
            axes.hist(values[inside], edges, weights=shares[inside], alpha=0.6, label=label)
        axes.set(title=title, xlabel=quantity, ylabel="share of images")
        plots.legend_beside(figure)


def save_confusion(path, labels, predicted, names=None, title=None):
    """Plot a confusion matrix: the number of images per true and predicted label.

    Args:
        path: of the file.
        labels, predicted: the true and the predicted labels, integers (n,) from 0.
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
    with plots.saved_figure(path, 1.5 + 0.45 * count, 1.5 + 0.4 * count) as figure:
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), number in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, number or "", ha="center", va="center", color=colour, size=8)
        axes.set(title=title, xlabel="given label", ylabel="true label")
        axes.set_xticks(range(count), names, rotation=90 if len(str(names[-1])) > 2 else 0)
        axes.set_yticks(range(count), names)


def save_scatter(path, points, labels, names=None, title=None):
    """Scatter plot of points (n, 2), coloured by their labels (n,).

    Args:
        path: of the file.
        points: numbers (n, 2).
        labels: integers (n,).
        names: of the labels from 0 on, or None for their numbers.
        title: above the plot, or None.

    Examples:
        >>> kgen.pictures.save_scatter("plane.png", np.eye(2), labels=[0, 1], names=["a", "b"])
    """
    labels = np.asarray(labels)
    with plots.saved_figure(path, 5, 5) as figure:
        axes = figure.subplots()
        for label, style in zip(np.unique(labels), plots.styles(), strict=False):
            own = points[labels == label]
            name = names[label] if names else label
            axes.scatter(*own.T, s=14, alpha=0.7, linewidths=0, label=name, **style)
        axes.set(title=title, xticks=[], yticks=[])
        plots.legend_beside(figure)
