"""Are images drawn for captions new ones? Beside each, the training image that is nearest.

    python -m benchmarks.studies.nearest runs/edm-emoji --sampling guidance=2.0

Draws an image for each of N captions of training images, and for each caption of test images.
Distances are root mean squared differences of pixels, in parts of their range. `distance` is the
median distance to the nearest training image, beside that of test images to theirs; `copies` the
fraction of images nearer than one in a hundred test images (`kgen.metrics.memorization`); `named`
the fraction whose nearest training image has the caption that was asked for.

Writes `benchmarks/records/nearest-RUN.json`, and beside it a picture: for some captions the real
image, three samples, and the training image nearest to the first sample.
"""

import argparse
import json
import textwrap
from pathlib import Path

import numpy as np

import kgen
from benchmarks.studies.measuring import RECORDS, record_of, write_as
from benchmarks.table import loaded_data
from kgen.description.parameters import assigned, parsed
from kgen.metrics import memorization
from kgen.plots import saved_figure

SHOWN = {"training captions": 6, "new captions": 6}  # columns of the picture
DRAWS = 3  # samples of a column
LETTERS = 14  # of a line of a caption


def flat(images, levels):
    """Images as rows whose distances are root mean squared differences, of a range of 1."""
    rows = np.reshape(images, (len(images), -1)).astype("float64")
    return rows / (levels - 1) / np.sqrt(rows.shape[1])


def case_of(row, samples, asked, data):
    """({row, distance, copies, named}, the indices of the nearest training images)."""
    levels, train = data.levels, data.train
    near = memorization(*(flat(images, levels) for images in (train.x, data.test.x, samples)))
    named = np.all(np.asarray(train.condition)[near.nearest] == asked, axis=1)
    case = {
        **{"row": row, "images": len(samples), "distance": near.median, "copies": near.copies},
        "test_distance": near.held_out_median,
        "named": float(named.mean()),
    }
    return case, near.nearest


def picture(path, columns, captions):
    """Write the picture: `columns` are lists of images from top to bottom."""
    count, rows = len(columns), len(columns[0])
    with saved_figure(path, 1.05 * count, 1.05 * rows + 0.5) as figure:
        panels = figure.subplots(rows, count, squeeze=False)
        for column, (images, caption) in enumerate(zip(columns, captions, strict=True)):
            for row, image in enumerate(images):
                panels[row, column].imshow(image)
                panels[row, column].set(xticks=[], yticks=[])
            lines = textwrap.fill(caption, LETTERS)
            panels[0, column].set_title(lines, fontsize=7)
        names = ["real image", *["sample"] * DRAWS, "nearest to\nthe first"]
        for row, name in enumerate(names):
            panels[row, 0].set_ylabel(name, fontsize=7)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="of a model that is given captions")
    parser.add_argument("--samples", type=int, default=300, help="of each kind, at most")
    parser.add_argument("--sampling", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = kgen.load(options.run / "model")
    data = loaded_data(json.loads((options.run / "run.json").read_text()))
    sampling = {name: parsed(text) for name, text in assigned("--sampling", options.sampling)}
    known = {"data": data.name, "seed": options.seed, "sampling": sampling}
    record = {**record_of(argparse.Namespace(**known)), "run": options.run.name}
    columns, captions = [], []
    for (row, shown), split in zip(SHOWN.items(), (data.train, data.test), strict=True):
        real = split.limit(options.samples)
        asked = np.asarray(real.condition)
        draws = [
            model.sample(len(real), asked, options.seed, **sampling),
            *(
                model.sample(shown, asked[:shown], options.seed + draw, **sampling)
                for draw in range(1, DRAWS)
            ),
        ]
        case, nearest = case_of(row, draws[0], asked, data)
        record["cases"].append(case)
        print(", ".join(f"{name} {value}" for name, value in case.items()), flush=True)
        images = [real.x, *draws, np.asarray(data.train.x)[nearest]]
        columns += [[rows[number] for rows in images] for number in range(shown)]
        captions += model.condition_space.decode(asked[:shown])
    write_as(record, f"nearest-{options.run.name}")
    picture(RECORDS / f"nearest-{options.run.name}.png", columns, captions)


if __name__ == "__main__":
    main()
