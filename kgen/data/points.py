"""Points in the plane, made by NumPy: small sets that show at a glance what a model learned."""

import numpy as np

from kgen.data.dataset import Dataset, Split
from kgen.spaces import Vectors

TRAIN, TEST = 10_000, 2_000  # points
_TRAIN_SEED, _TEST_SEED = 0, 1
RADII = (1.0, 2.0, 3.0)
RING_NOISE, MOON_NOISE = 0.1, 0.1  # standard deviation


def read_rings(options: tuple[str, ...] = ()) -> Dataset:
    """Three rings around the origin, equally often; labels are the number of the ring."""
    description = f"rings of radius {', '.join(map(str, RADII))}, noise {RING_NOISE}"
    return _dataset("rings", rings, description, ("inner ring", "middle ring", "outer ring"))


def read_moons(options: tuple[str, ...] = ()) -> Dataset:
    """Two half circles that reach into each other; labels are the number of the half circle."""
    description = f"two half circles of radius 1, noise {MOON_NOISE}"
    return _dataset("moons", moons, description, ("upper moon", "lower moon"))


def _dataset(name: str, draw, description: str, label_names: tuple[str, ...]) -> Dataset:
    return Dataset(
        name=name,
        train=draw(TRAIN, _TRAIN_SEED),
        test=draw(TEST, _TEST_SEED),
        space=Vectors(2),
        source=f"made by kgen: {description}",
        licence="none needed",
        label_names=label_names,
    )


def rings(count: int, seed: int) -> Split:
    """Points float32 (count, 2) on circles of the radii RADII, and the number of the circle."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(RADII), count)
    angles = random.uniform(0, 2 * np.pi, count)
    radii = np.array(RADII)[labels, np.newaxis]
    return _noisy(radii * _directions(angles), labels, RING_NOISE, random)


def moons(count: int, seed: int) -> Split:
    """Points float32 (count, 2) on two half circles of radius 1, and the number of the half.

    The upper half circle is around (0, 0), the lower one around (1, 0.5).
    """
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    angles = random.uniform(0, np.pi, count) + np.pi * labels
    centres = labels[:, np.newaxis] * np.array([1.0, 0.5])
    return _noisy(centres + _directions(angles), labels, MOON_NOISE, random)


def _directions(angles: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _noisy(points: np.ndarray, labels: np.ndarray, noise: float, random) -> Split:
    noisy = points + random.normal(0, noise, points.shape)
    return Split(noisy.astype(np.float32), labels)
