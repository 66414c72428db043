"""Grids of images and plots of losses, as PNG files."""

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
    """Write `grid(...)` as a PNG file, whole or not at all; KgenError if it cannot be written."""
    picture = grid(images, levels, columns)
    with whole_file(path) as temporary:
        picture.save(temporary, format="PNG")


def save_loss_plot(path, history):
    """Write the curves of `history` ({term: [value per epoch]}), one panel a term, as PNG.

    `val_<term>` is drawn beside its term.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    terms = [name for name in history if not name.startswith("val_")]
    figure = Figure(figsize=(4 * len(terms), 3), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, term in zip(np.ravel(figure.subplots(1, len(terms))), terms, strict=True):
        for name, label in ((term, "training"), (f"val_{term}", "test")):
            if name in history:
                epochs = range(1, len(history[name]) + 1)
                axes.plot(epochs, history[name], label=label, marker="." * (len(epochs) < 2))
        axes.set(title=term, xlabel="epoch")
        axes.legend()
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
