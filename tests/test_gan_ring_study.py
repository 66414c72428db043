"""The study of a ring of eight modes counts the modes that samples cover."""

import numpy as np
import pytest

from benchmarks.studies import gan_ring as study


def test_points_of_the_ring_cover_it():
    points = study.points_of(study.ring(20_000))
    found = study.coverage(points)
    assert (found["modes"], found["near"]) == (8, 1.0)
    assert found["off"] == pytest.approx(0.0, abs=0.01)


def test_lost_modes_and_lost_points_are_counted():
    halves = np.repeat(study.centres()[:4], 25, axis=0)  # four of eight modes
    assert study.coverage(halves) == {"modes": 4, "near": 1.0, "off": pytest.approx(0.5)}
    nowhere = np.zeros((100, 2))  # the middle of the ring
    assert study.coverage(nowhere) == {"modes": 0, "near": 0.0, "off": pytest.approx(1.0)}
    mixed = np.concatenate([np.repeat(study.centres(), 10, axis=0), np.zeros((80, 2))])
    assert study.coverage(mixed) == {"modes": 8, "near": 0.5, "off": pytest.approx(0.5)}


def test_rows_are_medians_and_ranges_of_seeds():
    figures = {"near": 0.5, "off": 0.5}
    cases = [{"option": "plain", "settings": {}, "modes": n, **figures} for n in (7, 5, 6)]
    (row,) = study.rows_of(cases)
    assert row["modes"] == [6.0, 5.0, 7.0]
    assert study.as_text(row).startswith("plain                modes 6.00 [5.00, 7.00]  near 0.50")
