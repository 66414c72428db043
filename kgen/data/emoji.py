"""Emoji: small icons, each with a caption of a few words and one of eight categories."""

import io
import json
import tarfile

import numpy as np

from kgen.data import image_files
from kgen.data.dataset import Dataset
from kgen.data.labels import numbered
from kgen.data.sources import Source, find
from kgen.data.splits import Split, held_out
from kgen.spaces import Labels, Pixels, Tokens

OPTIONS = ("labels",)


def read_emoji(options=()):
    """The 1,601 icons, RGB 72x72 on white; every tenth is held out for testing.

    Args:
        options: "labels" for the categories as conditions, instead of the captions.
    """
    source, folder = find("emoji_captions", (_EMOJI,))
    images, captions, categories = source.read(folder)
    for_testing = held_out(len(images), "emoji")
    if options:
        (given,), label_names = numbered([np.array(categories)])
        space = Labels(len(label_names))
    else:
        space = Tokens.of([captions[row] for row in np.flatnonzero(~for_testing)])
        given, label_names = space.encode(captions), None
    everything = Split(images, given)
    return Dataset(
        name="emoji",
        train=everything.take(~for_testing),
        test=everything.take(for_testing),
        space=Pixels(images.shape[1:]),
        source=f"{source.publisher}, every tenth held out for testing",
        licence="icons: SIL Open Font License 1.1; captions: MIT",
        condition_space=space,
        label_names=label_names,
    )


def _read(folder):
    """(images, captions, categories) of the files, whose checksums have been verified."""
    rows = [
        json.loads(line) for line in (folder / "captions.jsonl").read_text("utf-8").splitlines()
    ]
    with tarfile.open(folder / "png72.tar") as archive:
        images = [_icon(archive.extractfile(row["file"]).read()) for row in rows]
    captions, categories = ([row[key] for row in rows] for key in ("caption", "category"))
    return np.stack(images), captions, categories


def _icon(content):
    from PIL import Image

    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(image_files.on_white(picture).convert("RGB"))


_EMOJI = Source(
    publisher="Noto Emoji, Google, icons of 72x72, with the captions and categories of gemoji, "
    "GitHub",
    files={
        "captions.jsonl": "f4d03415d40b6d910a83d91e00dd113913d282dec08b18b104f1465b567d2a09",
        "png72.tar": "1455413e4b3e68a5ffb52177b156596d3d9860fd4914282a0a51da1aa7cc71d6",
    },
    read=_read,
)
