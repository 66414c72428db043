"""The metrics: closed forms, laws, degenerate features, errors. No backend plays a part."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from scipy.stats import entropy, mannwhitneyu, ortho_group
from sklearn.metrics import roc_auc_score

from kgen import KgenError, metrics

quickly = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def normal(rows, dimensions=8, seed=0, mean=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(mean, scale, size=(rows, dimensions))


@st.composite
def pairs(draw, least=2):
    """Two feature sets of one length: with ties, copies and constants, tiny and huge values."""
    dimensions = draw(st.integers(1, 5))
    few = st.sampled_from([0.0, 1.0, -1.0, 1e-8, 1e6])
    elements = draw(st.sampled_from([few, st.floats(-1e3, 1e3), st.floats(-1e20, 1e20)]))
    return [
        draw(arrays("float64", (draw(st.integers(least, 8)), dimensions), elements=elements))
        for _ in range(2)
    ]


def all_of(real, generated):
    """Every metric of two sets of at least 5 rows, as one list of numbers."""
    size = min(len(real), len(generated))
    copied = metrics.memorization(real, generated, generated)
    return [
        metrics.frechet_distance(real, generated),
        *metrics.kernel_distance(real, generated, subsets=2, subset_size=size),
        *metrics.precision_recall(real, generated, neighbours=3),
        *metrics.density_coverage(real, generated, neighbours=3),
        copied.median,
        copied.copies,
        copied.nearer,
    ]


# === Frechet distance ===


def test_of_gaussians_with_known_moments():
    """With diagonal covariances: |m - m'|^2 + sum of (s - s')^2."""
    deviations, others = np.array([1.0, 2.0, 0.0]), np.array([3.0, 0.5, 0.25])
    mean, other = np.array([1.0, 0.0, 2.0]), np.array([0.0, 2.0, 2.0])
    distance = metrics.frechet_distance_of_moments(
        mean, np.diag(deviations**2), other, np.diag(others**2)
    )
    assert distance == pytest.approx(5 + 4 + 2.25 + 0.0625)


@pytest.mark.parametrize("seed", range(5))
def test_of_covariances_that_do_not_commute(seed):
    """In two dimensions tr(M^(1/2)) = (tr M + 2 (det M)^(1/2))^(1/2)."""
    first, second = np.random.default_rng(seed).normal(size=(2, 2, 2))
    first, second = first @ first.T, second @ second.T
    product = first @ second
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = 1 + np.trace(first) + np.trace(second) - 2 * root
    moments = np.zeros(2), first, np.array([0, 1]), second
    assert metrics.frechet_distance_of_moments(*moments) == pytest.approx(expected)


def test_of_large_samples_it_is_the_closed_form():
    """Means 0.5 apart and deviations 1 and 2, in 4 dimensions: 4 (0.25 + 1)."""
    distance = metrics.frechet_distance(normal(50_000, 4), normal(50_000, 4, 1, 0.5, 2.0))
    assert distance == pytest.approx(5, rel=0.02)


@pytest.mark.parametrize("rows", [3, 20, 300])  # fewer and more than dimensions
def test_of_features_and_of_their_moments_are_one(rows):
    real, generated = normal(rows, 20), normal(30, 20, seed=1, mean=0.3)
    moments = [
        f(x) for x in (real, generated) for f in (lambda x: x.mean(0), lambda x: np.cov(x.T))
    ]
    of_moments = metrics.frechet_distance_of_moments(*moments)
    assert metrics.frechet_distance(real, generated) == pytest.approx(of_moments, rel=1e-6)


@pytest.mark.parametrize("rank", [1, 5])
def test_nearly_singular_covariances_have_a_distance(rank):
    """Rows in a subspace, but for 1e-9: adding that noise changes nothing."""
    real, generated = normal(200, rank), normal(200, rank, seed=1, mean=1.0)
    directions = normal(rank, 50, seed=2)
    expected = metrics.frechet_distance(real @ directions, generated @ directions)
    noise = 1e-9 * normal(200, 50, seed=3)
    noisy = metrics.frechet_distance(real @ directions + noise, generated @ directions - noise)
    assert noisy == pytest.approx(expected, rel=1e-6)


def test_a_rotated_subspace_is_far():
    """Covariances diag(1, 0) and diag(0, 1): their product is zero, its root shares nothing."""
    zero = np.zeros(2)
    distance = metrics.frechet_distance_of_moments(zero, np.diag([1, 0]), zero, np.diag([0, 1]))
    assert distance == pytest.approx(2)


def test_infinitely_many_samples_are_nearer_the_truth():
    """In 32 dimensions, means 0.1 apart: 0.32; few generated rows make it look larger."""
    real = normal(5_000, 32)
    generated = [normal(500, 32, seed, mean=0.1) for seed in range(1, 5)]
    plain = np.mean([metrics.frechet_distance(real, rows) for rows in generated])
    infinite = [metrics.frechet_distance_infinity(real, rows) for rows in generated]
    assert plain > 0.32 + 0.4
    assert np.mean(infinite) == pytest.approx(0.32, abs=0.1)
    assert metrics.frechet_distance_infinity(real, generated[0], seed=0) == infinite[0]
    assert metrics.frechet_distance_infinity(real, generated[0], seed=1) != infinite[0]


@quickly
@given(pairs())
def test_the_frechet_distance_is_symmetric_and_not_negative(sets):
    real, generated = sets
    there, back = metrics.frechet_distance(*sets), metrics.frechet_distance(generated, real)
    size = max(np.square(rows).sum() for rows in sets)
    assert 0 <= there < np.inf
    assert there == pytest.approx(back, rel=1e-6, abs=1e-9 * size)


@quickly
@given(pairs(), st.integers(0, 9))
def test_the_frechet_distance_of_a_set_to_itself_is_zero(sets, seed):
    rows, _ = sets
    shuffled = np.random.default_rng(seed).permutation(rows)
    assert metrics.frechet_distance(rows, shuffled) <= 1e-12 * np.square(rows).sum()


@quickly
@given(st.integers(0, 99), st.integers(2, 40), st.floats(1e-3, 1e3))
def test_the_frechet_distance_follows_rotations_shifts_and_scales(seed, rows, scale):
    real, generated = normal(rows, 6, seed), normal(9, 6, seed + 1, mean=0.5)
    turn = ortho_group.rvs(6, random_state=seed)
    moved = metrics.frechet_distance(scale * (real @ turn) + 3, scale * (generated @ turn) + 3)
    assert moved == pytest.approx(scale**2 * metrics.frechet_distance(real, generated), rel=1e-6)


# === Kernel distance ===


def test_the_kernel_distance_has_its_closed_form():
    """k of the points 1 and 2 in one dimension is 27; see the sums."""
    real, generated = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]])
    # Pairs: k(0, 1) = 1; k(0, 2) = 1; across k(0, 0) = k(0, 2) = k(1, 0) = 1 and k(1, 2) = 27.
    mean, deviation = metrics.kernel_distance(real, generated, subsets=4, subset_size=2)
    assert mean == pytest.approx(1 + 1 - 2 * 30 / 4)
    assert deviation == pytest.approx(0)


def test_the_kernel_distance_has_no_bias():
    """Over many draws of one distribution its mean is zero: within 4 standard errors."""
    draws = np.random.default_rng(0).normal(size=(400, 2, 20, 4))
    estimates = [metrics.kernel_distance(*pair, subsets=1, subset_size=20)[0] for pair in draws]
    assert abs(np.mean(estimates)) < 4 * np.std(estimates) / np.sqrt(len(estimates))


def test_the_kernel_distance_grows_with_the_shift():
    real, settings = normal(300), {"subsets": 10, "subset_size": 200}
    shifts = [normal(300, seed=1, mean=mean) for mean in (0, 0.5, 1)]
    distances = [metrics.kernel_distance(real, rows, **settings)[0] for rows in shifts]
    assert distances == sorted(distances)
    assert distances[1] > 10 * abs(distances[0])


@quickly
@given(pairs(), st.integers(0, 9))
def test_the_kernel_distance_knows_no_order_of_rows(sets, seed):
    size = min(map(len, sets))
    real, generated = (rows[:size] for rows in sets)
    shuffled = np.random.default_rng(seed).permutation(real)
    whole = {"subsets": 1, "subset_size": size}
    expected, _ = metrics.kernel_distance(real, generated, **whole)
    largest = (np.square(np.concatenate(sets)).sum() + 1) ** 3
    assert np.isfinite(expected)
    for pair in [(shuffled, generated), (generated, real)]:
        received, _ = metrics.kernel_distance(*pair, **whole)
        assert received == pytest.approx(expected, abs=1e-12 * largest)


# === Neighbours ===


def test_precision_recall_density_and_coverage_of_points_on_a_line():
    """With one neighbour, 0, 1, 5 have radii 1, 1, 4; generated 0.5, 3, 20 have 2.5, 2.5, 17."""
    real, generated = np.array([[0.0], [1.0], [5.0]]), np.array([[0.5], [3.0], [20.0]])
    # 0.5 lies in the balls around 0 and 1, 3 in that around 5, 20 in none.
    assert metrics.density_coverage(real, generated, 1) == pytest.approx((3 / 3, 3 / 3))
    # 0 and 1 lie in that around 0.5, 1 and 5 in that around 3, 5 in that around 20.
    assert metrics.precision_recall(real, generated, 1) == pytest.approx((2 / 3, 3 / 3))


def test_a_row_on_the_surface_of_a_ball_is_outside():
    """As in prdc: 1 and 2 are neighbours, each as far from the other as from its own set."""
    real, generated = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    assert metrics.precision_recall(real, generated, 1) == (0, 0)
    assert metrics.density_coverage(real, generated, 1) == (0, 0)


def test_apart_nothing_is_shared():
    real, generated = normal(50), normal(50, seed=1, mean=100)
    assert metrics.precision_recall(real, generated) == (0, 0)
    assert metrics.density_coverage(real, generated) == (0, 0)


def test_a_generator_of_one_image_is_precise_and_recalls_nothing():
    real = normal(100)
    generated = np.repeat(real.mean(axis=0)[None], 100, axis=0)
    precision, recall = metrics.precision_recall(real, generated, neighbours=20)
    _, coverage = metrics.density_coverage(real, generated, neighbours=5)
    assert (precision, recall) == (1, 0)
    assert coverage < 0.5


@quickly
@given(st.integers(0, 99), st.integers(6, 40), st.integers(1, 5))
def test_precision_is_recall_the_other_way_round_and_distances_are_all(seed, rows, neighbours):
    real, generated = normal(rows, 4, seed), normal(12, 4, seed + 1, mean=0.5)
    precision, recall = metrics.precision_recall(real, generated, neighbours)
    assert metrics.precision_recall(generated, real, neighbours) == (recall, precision)
    turn = ortho_group.rvs(4, random_state=seed)
    moved = np.random.default_rng(seed).permutation(2 * real @ turn - 1), 2 * generated @ turn - 1
    assert metrics.precision_recall(*moved, neighbours) == (precision, recall)
    assert metrics.density_coverage(*moved, neighbours) == pytest.approx(
        metrics.density_coverage(real, generated, neighbours)
    )


def test_distances_are_never_held_all_at_once(monkeypatch):
    """4,000 x 4,000 of them are 122 MiB; blocks, and what is made of them, are a few of 8."""
    monkeypatch.setattr(metrics.neighbours, "BLOCK", 8)
    rows = normal(4_000, 2)
    tracemalloc.start()
    try:
        metrics.precision_recall(rows, rows)
        metrics.density_coverage(rows, rows)
        metrics.memorization(rows, rows, rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60 * 2**20


# === Inception score ===


def test_the_inception_score_of_sure_and_of_blind_classifiers():
    sure = np.tile(np.eye(4), (25, 1))  # every class equally often
    assert metrics.inception_score(sure, splits=5) == pytest.approx((4, 0))
    assert metrics.inception_score(np.full((100, 4), 0.25)) == pytest.approx((1, 0))


def test_the_inception_score_of_collapse_is_one():
    unsure = np.tile([[0.3, 0.3, 0.4]], (100, 1))
    assert metrics.inception_score(unsure)[0] == pytest.approx(1)
    assert metrics.inception_score(unsure)[0] >= 1  # not a rounding below
    assert metrics.inception_score(np.tile([[1.0, 0, 0]], (20, 1))) == pytest.approx((1, 0))


def test_the_splits_of_the_inception_score_are_taken_in_order():
    """The first part has one class, the second two: scores of 1 and 2."""
    rows = np.eye(2)[[0, 0, 0, 0, 0, 1, 0, 1]]
    assert metrics.inception_score(rows, splits=2) == pytest.approx((1.5, 0.5))


@quickly
@given(arrays("float64", (7, 3), elements=st.floats(0, 1)), st.integers(1, 7))
def test_the_inception_score_lies_between_one_and_the_number_of_classes(rows, splits):
    rows = (rows + 1e-300) / (rows + 1e-300).sum(axis=1, keepdims=True)
    mean, deviation = metrics.inception_score(rows, splits)
    assert 1 <= mean <= 3 + 1e-9
    assert 0 <= deviation <= 1


# === Memorization ===


def test_copies_of_training_images_are_found():
    training, held_out, new = normal(500), normal(300, seed=1), normal(100, seed=2)
    copied = np.arange(0, 500, 5)
    result = metrics.memorization(training, held_out, np.concatenate([training[copied], new]))
    assert result.nearest[:100].tolist() == copied.tolist()
    assert result.distances[:100].tolist() == [0] * 100
    assert result.copies == pytest.approx(0.5, abs=0.02)
    assert result.nearer == pytest.approx(0.75, abs=0.05)
    assert result.held_out_median > 0.5


def test_new_images_are_as_near_as_held_out_ones():
    result = metrics.memorization(normal(500), normal(400, seed=1), normal(400, seed=2))
    assert result.nearer == pytest.approx(0.5, abs=0.06)
    assert result.copies < 0.03
    assert result.median == pytest.approx(result.held_out_median, rel=0.1)


def test_images_far_from_all_data_are_no_copies():
    result = metrics.memorization(normal(50), normal(40, seed=1), normal(30, seed=2, mean=9))
    assert (result.copies, result.nearer) == (0, 0)


def test_the_nearest_are_scipys():
    training, generated = normal(60).astype("float32"), normal(40, seed=1).astype("float32")
    result = metrics.memorization(training, generated[:5], generated)
    expected = cdist(generated, training)
    assert result.nearest.tolist() == expected.argmin(axis=1).tolist()
    np.testing.assert_allclose(result.distances, expected.min(axis=1), rtol=1e-9)
    np.testing.assert_array_equal(result.held_out_distances, result.distances[:5])


# === Ranks ===

scores = st.lists(st.one_of(st.integers(-2, 2), st.floats(allow_nan=False)), min_size=1)


@quickly
@given(scores, scores)
def test_auroc_is_scipys_and_scikit_learns(positives, negatives):
    received = metrics.auroc(positives, negatives)
    statistic = mannwhitneyu(positives, negatives, method="asymptotic").statistic
    assert received == pytest.approx(statistic / (len(positives) * len(negatives)))
    finite = np.clip([*positives, *negatives], -1e308, 1e308)  # scikit-learn takes no infinities
    if len(np.unique(finite)) == len(np.unique([*positives, *negatives])):
        is_positive = [1] * len(positives) + [0] * len(negatives)
        assert received == pytest.approx(roc_auc_score(is_positive, finite))
    assert metrics.auroc(negatives, positives) == pytest.approx(1 - received)


# === Whatever comes ===


@settings(quickly, max_examples=25)
@given(pairs(least=5))
def test_every_metric_is_a_number_or_one_clear_error(sets):
    try:
        numbers = all_of(*sets)
    except KgenError as error:
        assert "real features that differ" in str(error)  # noqa: PT017
        assert not np.ptp(sets[0], axis=0).any()
    else:
        assert np.isfinite(numbers).all()
        assert all(isinstance(number, float) for number in numbers)


def test_identical_sets_score_best():
    rows = normal(60)
    distance, kernel, _, *others = all_of(rows, rows)
    assert distance == pytest.approx(0, abs=1e-12)
    assert kernel < 0.1
    precision, recall, _, coverage, median, *_ = others
    assert (precision, recall, coverage, median) == (1, 1, 1, 0)


def test_constant_images():
    black, white = np.zeros((10, 4)), np.ones((10, 4))
    assert metrics.frechet_distance(black, white) == pytest.approx(4)
    assert metrics.frechet_distance(black, black) == 0
    assert metrics.kernel_distance(black, white, 2, 5) == pytest.approx((1 + 8 - 2, 0))
    with pytest.raises(KgenError, match="differ"):
        metrics.precision_recall(black, white)
    with pytest.raises(KgenError, match="differ"):
        metrics.density_coverage(black, black)
    assert metrics.memorization(black, black, white).median == pytest.approx(2)


FINE = normal(40, 3)
PAIRED = {
    "frechet_distance": metrics.frechet_distance,
    "frechet_distance_infinity": metrics.frechet_distance_infinity,
    "kernel_distance": lambda *sets: metrics.kernel_distance(*sets, subset_size=20),
    "precision_recall": metrics.precision_recall,
    "density_coverage": metrics.density_coverage,
    "memorization": lambda real, generated: metrics.memorization(real, FINE, generated),
}
WRONG = {
    "images": (np.zeros((9, 8, 8, 1), "uint8"), r"\(n, d\).*\(9, 8, 8, 1\)"),
    "one row": (np.zeros(9), r"\(n, d\)"),
    "no columns": (np.zeros((9, 0)), r"\(n, d\)"),
    "complex": (FINE.astype(complex), "real numbers.*complex"),
    "text": (np.full((9, 3), "a"), "real numbers"),
    "another length": (normal(40, 4), "one length.*one encoder"),
    "none": (FINE[:0], "at least.*received 0"),
    "not a number": (np.where(FINE > 2, np.nan, FINE), "finite.*of 40 rows"),
    "infinite": (np.where(FINE > 2, np.inf, FINE), "finite"),
    "huge": (FINE * 1e200, "finite"),
}


@pytest.mark.parametrize("metric", PAIRED)
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_features_are_named(metric, wrong):
    features, words = WRONG[wrong]
    for name, sets in {"real|training": (features, FINE), "generated": (FINE, features)}.items():
        with pytest.raises(KgenError, match=words) as error:
            PAIRED[metric](*sets)
        assert "\n" not in str(error.value)
        assert any(part in str(error.value) for part in name.split("|"))


I2 = np.eye(2)


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ("at least 2 real", lambda: metrics.frechet_distance(FINE[:1], FINE)),
        ("at least 30 generated", lambda: metrics.frechet_distance_infinity(FINE, FINE[:29])),
        ("at least 60 generated", lambda: metrics.frechet_distance_infinity(*2 * [normal(59, 20)])),
        ("subset_size=1000.*40", lambda: metrics.kernel_distance(FINE, FINE)),
        ("2 rows", lambda: metrics.kernel_distance(FINE, FINE, subset_size=1)),
        ("1 subset", lambda: metrics.kernel_distance(FINE, FINE, subsets=0)),
        ("at least 4 generated", lambda: metrics.precision_recall(FINE, FINE[:3])),
        ("at least 6 real", lambda: metrics.density_coverage(FINE[:5], FINE)),
        ("1 neighbour", lambda: metrics.precision_recall(FINE, FINE, neighbours=0)),
        ("at least 10 prob", lambda: metrics.inception_score(np.full((9, 2), 0.5))),
        ("1 split", lambda: metrics.inception_score(I2, splits=0)),
        ("softmax", lambda: metrics.inception_score(FINE)),
        ("softmax", lambda: metrics.inception_score(np.full((20, 2), 0.6))),
        ("one of each", lambda: metrics.auroc([], [1.0])),
        ("1 NaN", lambda: metrics.auroc([np.nan], [1.0])),
        (
            r"\(d, d\)",
            lambda: metrics.frechet_distance_of_moments(I2[0], np.eye(3), I2[0], I2),
        ),
        (
            "symmetric real",
            lambda: metrics.frechet_distance_of_moments(I2[0], [[1, 1], [0, 1]], I2[0], I2),
        ),
        (
            "negative eigenvalues.*-1",
            lambda: metrics.frechet_distance_of_moments(I2[0], I2, I2[0], -I2),
        ),
        (
            "one length.*2 and 3",
            lambda: metrics.frechet_distance_of_moments(I2[0], I2, np.zeros(3), np.eye(3)),
        ),
        (
            "finite",
            lambda: metrics.frechet_distance_of_moments(I2[0] * np.nan, I2, I2[0], I2),
        ),
    ],
)
def test_mistakes_are_named(words, mistake):
    with pytest.raises(KgenError, match=words):
        mistake()


# === Clusters ===


def test_cluster_scores_are_those_of_the_best_of_all_matchings():
    generator = np.random.default_rng(0)
    labels, noise = generator.integers(5, size=(2, 300))
    clusters = np.where(generator.random(300) < 0.7, (labels + 2) % 5, noise)
    found = metrics.cluster_scores(clusters, labels)
    orders = [np.array(order) for order in itertools.permutations(range(5))]
    assert found.accuracy == pytest.approx(max(np.mean(o[clusters] == labels) for o in orders))
    joint = np.histogram2d(clusters, labels, bins=5)[0] / 300
    entropies = [entropy(part) for part in (joint.sum(axis=1), joint.sum(axis=0))]
    information = sum(entropies) - entropy(joint.ravel())
    assert found.nmi == pytest.approx(information / np.mean(entropies), rel=1e-6)


def test_cluster_scores_of_one_cluster():
    """Such are the images of a generator that ignores its code."""
    assert metrics.cluster_scores(np.zeros(40, int), np.arange(40) % 4) == (0.25, 0.0)
