"""Which options keep a GAN from losing modes? A ring of eight Gaussians, seen as pictures.

    python -m benchmarks.studies.gan_ring

Points in the plane, as images of two pixels, lie near eight equally likely modes. A dense `gan` is
trained on them, with each option alone, from several seeds. Three figures tell of its samples.

- `modes`: how many modes get at least a quarter of their share.
- `near`: the fraction within five standard deviations of a mode.
- `off`: the fraction of samples that would have to move for equal shares of the modes. It is the
  total variation; being near no mode counts as a ninth place.

Prints the median and the range over the seeds. Writes `benchmarks/records/gan_ring.json`, and
beside it a picture of the first seed's samples.
"""

import argparse

import keras
import numpy as np

import kgen
from benchmarks.studies.measuring import RECORDS, record_of, write_as
from kgen.plots import saved_figure

MODES = 8
RADIUS, NOISE = 0.7, 0.02  # in values of [-1, 1]
POINTS, SAMPLES = 20_000, 2000
NEAR = 0.1  # five standard deviations; the modes are 0.54 apart
SIZES = {
    "image_shape": (1, 2, 1),
    "latent_size": 8,
    "generator_units": (128, 128),
    "discriminator_units": (128, 128),
}
OPTIONS = {
    "plain": {},
    "R1": {"r1_weight": 0.01},
    "lazy R1": {"r1_weight": 0.01, "r1_every": 16},
    "minibatch deviation": {"minibatch_deviation": True},
    "hinge": {"loss": "hinge"},
    "hinge, spectral": {"loss": "hinge", "spectral_normalization": True},
}
FIGURES = ("modes", "near", "off")


def centres():
    """The modes, (8, 2)."""
    angles = 2 * np.pi * np.arange(MODES) / MODES
    return RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def ring(count, seed=0):
    """Points near the modes, as images uint8 (count, 1, 2, 1)."""
    random = np.random.default_rng(seed)
    points = centres()[random.integers(MODES, size=count)] + random.normal(0, NOISE, (count, 2))
    return np.rint((points + 1) * 127.5).astype("uint8").reshape(-1, 1, 2, 1)


def points_of(images):
    return images.reshape(-1, 2) / 127.5 - 1


def coverage(points):
    """{modes, near, off} of points (n, 2), as above."""
    distances = np.linalg.norm(points[:, None] - centres(), axis=2)  # (n, 8)
    near = distances.min(axis=1) < NEAR
    shares = np.bincount(distances.argmin(axis=1)[near], minlength=MODES) / len(points)
    lost = 1 - near.mean()
    return {
        "modes": int(np.sum(shares >= 0.25 / MODES)),
        "near": float(near.mean()),
        "off": float(0.5 * (np.abs(shares - 1 / MODES).sum() + lost)),
    }


def trained(settings, seed, images, epochs):
    """A GAN on the ring."""
    kgen.set_seed(seed)
    model = kgen.models.create("gan", **SIZES, **settings)
    model.compile({player: keras.optimizers.Adam(1e-3, beta_1=0.5) for player in model.players})
    model.fit(images, batch_size=200, epochs=epochs, verbose=0)
    return model


def rows_of(cases):
    """{option, modes, near, off}, each figure as [median, lowest, highest] of the seeds."""
    for option in dict.fromkeys(case["option"] for case in cases):
        found = [case for case in cases if case["option"] == option]
        figures = {
            name: [float(f([case[name] for case in found])) for f in (np.median, min, max)]
            for name in FIGURES
        }
        yield {"option": option, "settings": found[0]["settings"], **figures}


def as_text(row):
    figures = ("{} {:.2f} [{:.2f}, {:.2f}]".format(name, *row[name]) for name in FIGURES)
    return f"{row['option']:<20} " + "  ".join(figures)


def picture(path, samples):
    """Write a picture of points, {option: (n, 2)}."""
    with saved_figure(path, 1.9 * len(samples), 2.2) as figure:
        panels = figure.subplots(1, len(samples), squeeze=False)[0]
        for panel, (option, points) in zip(panels, samples.items(), strict=True):
            panel.scatter(*centres().T, s=60, facecolors="none", edgecolors="black", linewidths=0.6)
            panel.scatter(*points.T, s=1)
            panel.set(xlim=(-1, 1), ylim=(-1, 1), xticks=[], yticks=[], aspect="equal")
            panel.set_title(option, fontsize=9)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="0, 1, ... (default: 5 of them)")
    parser.add_argument("--epochs", type=int, default=60, help="of 20,000 points (default: 60)")
    options = parser.parse_args()
    record = record_of(options)
    images, shown = ring(POINTS), {}
    for seed in range(options.seeds):
        for option, settings in OPTIONS.items():
            model = trained(settings, seed, images, options.epochs)
            points = points_of(model.sample(SAMPLES, seed=seed))
            shown.setdefault(option, points)
            case = {"option": option, "settings": settings, "seed": seed, **coverage(points)}
            record["cases"].append(case)
            print(", ".join(f"{key} {case[key]}" for key in ("option", "seed", *FIGURES)))
    record["rows"] = list(rows_of(record["cases"]))
    print(*map(as_text, record["rows"]), sep="\n")
    write_as(record, "gan_ring")
    picture(RECORDS / "gan_ring.png", shown)


if __name__ == "__main__":
    main()
