"""The README's first picture: samples of the best models, as their records show them.

    python docs/generate/first_picture.py

A test says when a record has changed since.
"""

from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "samples.png"
RECORDS = ("cgan-mnist", "cgan-fashion_mnist")
GAP, WHITE = 12, 255


def picture():
    """The grids of `RECORDS` side by side."""
    grids = [Image.open(ROOT / "benchmarks" / "records" / f"{name}.png") for name in RECORDS]
    width = sum(grid.width for grid in grids) + GAP * (len(grids) - 1)
    canvas = Image.new("L", (width, grids[0].height), WHITE)
    left = 0
    for grid in grids:
        canvas.paste(grid, (left, 0))
        left += grid.width + GAP
    return canvas


if __name__ == "__main__":
    picture().save(PICTURE)
