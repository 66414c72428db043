"""Pictures of the pages, as bytes."""

import tempfile
from pathlib import Path


def png(draw, *arguments):
    """The PNG that `draw(path, *arguments)` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.png")
        draw(path, *arguments)
        return path.read_bytes()
