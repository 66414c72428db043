"""Do images show what their captions say? Placed digits, each attribute read back from pixels.

    python -m benchmarks.studies.captions runs/text_to_image_gan-placed_digits --samples 2000

Background, colour, size and place follow from arithmetic on pixels, the digit from kgen's frozen
classifier of MNIST on the ink, cut out and centred as MNIST's digits are. Beside each run stand
real images. `held out` counts pairs of digit and colour that no training image shows, `all` images
with all five attributes as asked. R-precision: the fraction of images whose own caption agrees in
more attributes than each of 99 random captions that say something else. The Frechet distance to
the test images is that of features of a classifier of these images' digits; that of real images is
of training images. Writes benchmarks/records/captions-RUN.json.
"""

import argparse
from pathlib import Path

import numpy as np

import kgen
from benchmarks.studies.measuring import record_of, write_as
from kgen import encoders, metrics
from kgen.data.placed_digits import (
    BACKGROUNDS,
    COLOURS,
    DIGITS,
    FAINT,
    PLACES,
    SIZES,
    is_held_out,
)
from kgen.description.parameters import parsed
from kgen.evaluation.whole import identity_of

ATTRIBUTES = {"digit": DIGITS, "colour": COLOURS, "size": SIZES, "place": PLACES}
ATTRIBUTES["background"] = BACKGROUNDS
OTHERS = 99  # captions that R-precision compares with
DIGIT, SIDE = 20, 28  # pixels of MNIST's digits, and of its images


def said(captions):
    """What captions say: {attribute: indices (n,)}."""
    return {
        name: np.array([_index(caption, values) for caption in captions])
        for name, values in ATTRIBUTES.items()
    }


def _index(caption, values):
    (found,) = (number for number, value in enumerate(values) if f" {value} " in f" {caption} ")
    return found


def shown(images, classifier):
    """What images show: {attribute: indices (n,)}.

    Args:
        images: uint8 (n, side, side, 3).
        classifier: of MNIST.
    """
    scale = images.shape[1] / 32
    grounds, inks, alphas = zip(*map(_layers, images), strict=True)
    boxes = np.array([_box(alpha) for alpha in alphas])  # (n, 4): top, bottom, left, right
    sides = boxes[:, 1::2] - boxes[:, ::2]
    crops = [_centred(a[t:b, left:r]) for a, (t, b, left, r) in zip(alphas, boxes, strict=True)]
    return {
        "digit": classifier.probabilities(np.stack(crops)).argmax(axis=1),
        "colour": np.array(inks),
        "size": _nearest(sides.max(axis=1)[:, None], scale * np.array([list(SIZES.values())]).T),
        "place": _nearest(
            0.5 * (boxes[:, ::2] + boxes[:, 1::2]), scale * np.array(list(PLACES.values()))
        ),
        "background": np.array(grounds),
    }


def _layers(image):
    """(index of the background, index of the ink, how much ink each pixel has, from 0 to 1)."""
    pixels = image.astype("float64")
    median = np.median(pixels, axis=(0, 1))  # a digit covers less than half of an image
    ground = int(_nearest(median[None], _table(BACKGROUNDS))[0])
    away = np.linalg.norm(pixels - median, axis=2)
    ink_pixels = pixels[away >= 0.8 * away.max()]
    ink = int(_nearest(ink_pixels.mean(axis=0)[None], _table(COLOURS))[0])
    way = _table(COLOURS)[ink] - _table(BACKGROUNDS)[ground]
    alpha = (pixels - _table(BACKGROUNDS)[ground]) @ way / (way @ way)
    return ground, ink, np.clip(alpha, 0.0, 1.0)


def _table(palette):
    return np.array(list(palette.values()), "float64")


def _nearest(values, table):
    """The index of the nearest row of a table (k, d) for each of values (n, d)."""
    return np.linalg.norm(values[:, None] - table, axis=2).argmin(axis=1)


def _box(alpha):
    """The first and one past the last row, and column, with ink; the whole image without any."""
    spans = []
    for axis in (1, 0):
        found = np.flatnonzero((alpha > FAINT / 255).any(axis=axis))
        spans += [found[0], found[-1] + 1] if len(found) else [0, len(alpha)]
    return spans


def _centred(alpha):
    """Ink as an image of MNIST: the longer side 20 pixels, the centre of mass in the middle."""
    from PIL import Image

    height, width = (max(1, round(DIGIT * side / max(alpha.shape))) for side in alpha.shape)
    grey = Image.fromarray(np.rint(255 * alpha).astype("uint8"))
    grey = np.asarray(grey.resize((width, height), Image.Resampling.BICUBIC), "float64")
    mass = max(grey.sum(), 1.0)
    centre = (grey.sum(1) @ np.arange(height) / mass, grey.sum(0) @ np.arange(width) / mass)
    corner = [
        int(np.clip(round((SIDE - 1) / 2 - c), 0, SIDE - size))
        for c, size in zip(centre, grey.shape, strict=True)
    ]
    image = np.zeros((SIDE, SIDE, 1), "uint8")
    image[corner[0] : corner[0] + height, corner[1] : corner[1] + width, 0] = np.rint(grey)
    return image


def agreement(asked, found):
    """{column: fraction of images as asked}: each attribute, all of them, and those held out."""
    right = {name: found[name] == asked[name] for name in ATTRIBUTES}
    everything = np.all(list(right.values()), axis=0)
    unseen = is_held_out(asked["digit"], asked["colour"])
    columns = {**right, "all": everything}
    figures = {name: float(values.mean()) for name, values in columns.items()}
    held_out = {f"{name}, held out": float(v[unseen].mean()) for name, v in columns.items()}
    return {**figures, **held_out, "R-precision": r_precision(asked, found)}


def r_precision(asked, found, seed=0):
    """The fraction of images whose own caption agrees in more attributes than 99 others."""
    generator = np.random.default_rng(seed)
    table = np.stack([asked[name] for name in ATTRIBUTES], axis=1)
    made = np.stack([found[name] for name in ATTRIBUTES], axis=1)
    won = []
    for own, image in zip(table, made, strict=True):
        others = table[(table != own).any(axis=1)]
        others = others[generator.integers(0, len(others), OTHERS)]
        won.append((own == image).sum() > (others == image).sum(axis=1).max())
    return float(np.mean(won))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="of models that are given captions")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--sampling", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    classifier = encoders.frozen_classifier(kgen.data.load("mnist"))
    sampling = {name: parsed(value) for name, value in (s.split("=") for s in options.sampling)}
    for run in options.runs:
        model = kgen.load(run / "model")
        name = "placed_digits:64" if model.image_shape[0] == 64 else "placed_digits"
        labelled, data = kgen.data.load(f"{name}:labels"), kgen.data.load(name)
        test = data.test.limit(options.samples)
        asked = said(model.condition_space.decode(test.condition))
        images = model.sample(len(test), test.condition, options.seed, **sampling)
        encoder = encoders.for_data(labelled, name="classifier")
        known = argparse.Namespace(samples=len(test), sampling=sampling, seed=options.seed)
        record = {**record_of(known), "run": run.name, **identity_of(encoder)}
        real, others = np.asarray(test.x), np.asarray(data.train.limit(len(test)).x)
        features = encoder(real)
        for row, read, compared in (("samples", images, images), ("real images", real, others)):
            figures = agreement(asked, shown(read, classifier))
            distance = metrics.frechet_distance(features, encoder(compared))
            figures |= {"Frechet distance": float(distance)}
            record["cases"].append({"row": row, **figures})
            print(row, ", ".join(f"{key} {value:.3f}" for key, value in figures.items()))
        write_as(record, f"captions-{run.name}")


if __name__ == "__main__":
    main()
