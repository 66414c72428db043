"""Metrics of sample quality, computed from features of real and generated images.

    from kgen import metrics
    metrics.frechet_distance(real, generated)
    mean, deviation = metrics.kernel_distance(real, generated)
    precision, recall = metrics.precision_recall(real, generated)

Features are arrays (n, d), one row per image, from any encoder. All functions work in float64 with
bounded memory and import no framework. Figures are comparable only for equal encoders and equal
numbers of images. Only `pair_figures` takes images: pairs of a generated image and its target.
"""

from kgen.metrics.clusters import ClusterScores, cluster_scores
from kgen.metrics.frechet import (
    frechet_distance,
    frechet_distance_infinity,
    frechet_distance_of_moments,
)
from kgen.metrics.image_pairs import pair_figures
from kgen.metrics.kernel import kernel_distance
from kgen.metrics.memorization import Memorization, memorization
from kgen.metrics.neighbours import density_coverage, precision_recall
from kgen.metrics.posterior import posterior_figures
from kgen.metrics.ranks import auroc
from kgen.metrics.score import inception_score

__all__ = [
    "ClusterScores",
    "Memorization",
    "auroc",
    "cluster_scores",
    "density_coverage",
    "frechet_distance",
    "frechet_distance_infinity",
    "frechet_distance_of_moments",
    "inception_score",
    "kernel_distance",
    "memorization",
    "pair_figures",
    "posterior_figures",
    "precision_recall",
]
