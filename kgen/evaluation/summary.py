"""Evaluations side by side: one row per run, with doubts about its figures."""

from dataclasses import dataclass

LEAST_ACCURACY = 0.85  # of a classifier used as encoder
IMAGES_PER_FEATURE = 10  # the covariance of d features needs at least 10 d images
SAMPLES, FLOOR, CEILING = "samples", "real images (floor)", "noise (ceiling)"
IDENTITY = "sources (identity)"  # the source images of an image-to-image model

# The figures that depend on the encoder.
OF_FEATURES = (
    "frechet_distance",
    "frechet_distance_infinity",
    "kernel_distance",
    "precision",
    "recall",
    "density",
    "coverage",
    "inception_score",
    "memorized",
)


def doubts(row, found):
    """{letter: reason} of doubts about one row of `found.rows`; `found` is an `Evaluation`.

    "a" concerns Frechet distances; "e" and "f" all figures that depend on the encoder; "n" the
    likelihood.
    """
    used, reasons = found.used, {}
    distance, ceiling = (found.rows[name]["frechet_distance"] for name in (row, CEILING))
    if row == SAMPLES and distance > ceiling:
        reasons["a"] = "above the ceiling: farther from the real images than noise is"
    accuracy = used.get("encoder_test_accuracy")
    if accuracy is not None and accuracy < LEAST_ACCURACY:
        reasons["e"] = (
            f"weak encoder: it classifies {accuracy:.1%} of its test images correctly, fewer than "
            f"{LEAST_ACCURACY:.0%}"
        )
    features = used.get("features", 0)
    if used["images"] < IMAGES_PER_FEATURE * features:
        reasons["f"] = (
            f"few samples: {used['images']:,}, fewer than {IMAGES_PER_FEATURE} for each of the "
            f"{features:,} features, so that distances come out too large"
        )
    scored = (found.likelihood or {}).get("images", used["images"])
    if row == SAMPLES and scored < used["images"]:
        reasons["n"] = f"likelihood of {scored:,} images only, as each takes long"
    return reasons


def letters(figure, reasons):
    """The letters of `reasons` that concern a figure."""
    if figure == "negative_log_prob_nats":
        return "n" if "n" in reasons else ""
    if figure not in OF_FEATURES:
        return ""
    of_features = [letter for letter in reasons if letter != "n"]
    return ",".join(
        letter for letter in of_features if letter != "a" or figure.startswith("frechet_distance")
    )


def duration(seconds):
    """Seconds in words: "45 s", "10.0 min", "2.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _nats(figures):
    bound = "<= " if figures["likelihood"] == "bound" else ""
    if figures.get("method") == "annealing":
        bound = f"{figures['optimistic_negative_log_prob_nats']:.2f} to "
    both = (figures[name] for name in ("negative_log_prob_nats", "standard_error_nats"))
    return bound + " +- ".join(f"{nats:.2f}" if abs(nats) < 1e6 else f"{nats:.3g}" for nats in both)


def _number(name, pattern):
    return lambda figures: pattern.format(figures[name])


# {heading: (figure, all figures of a row -> text)}, in the order of the columns.
COLUMNS = {
    "parameters": ("parameters", _number("parameters", "{:,}")),
    "training": ("training_seconds", lambda figures: duration(figures["training_seconds"])),
    "ms per sample": ("sampling_milliseconds", _number("sampling_milliseconds", "{:.3g}")),
    "nats per item": ("negative_log_prob_nats", _nats),
    "Frechet distance": ("frechet_distance", _number("frechet_distance", "{:.2f}")),
    "precision": ("precision", _number("precision", "{:.3f}")),
    "recall": ("recall", _number("recall", "{:.3f}")),
    "coverage": ("coverage", _number("coverage", "{:.3f}")),
    "memorized": ("memorized", _number("memorized", "{:.1%}")),
}
EXPLANATION = (
    "parameters: trainable ones; training: the time of kgen.fit; ms per sample: with compilation; "
    "nats per item: negative log-likelihood with its standard error, <= of a bound, both sides of "
    "an estimate, lower is better."
)


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and the letters of the doubts about it."""

    text: str
    letters: str = ""

    def __str__(self):
        return f"{self.text} {self.letters}".rstrip()


@dataclass(frozen=True)
class Group:
    """Comparable runs: the same images and the same encoder.

    Runs of the same images without samples belong to the group, too.

    Attributes:
        used: how they were measured, see `Evaluation.used`.
        evaluations: {name of the run: `Evaluation`}.
        reference: an `Evaluation` of the group, whose floor and ceiling hold for all; or None.
    """

    used: dict
    evaluations: dict
    reference: object = None

    def figures(self):
        """{row: its figures}: one row per run, the floor and the ceiling once."""
        rows = {name: figures_of(found) for name, found in self.evaluations.items()}
        if self.reference:
            rows |= {name: self.reference.rows[name] for name in (FLOOR, CEILING)}
        return rows

    def reasons(self):
        """{row: {letter: reason}} of the doubts about `figures`."""
        rows = {
            name: doubts(SAMPLES, found) if found.rows else {}
            for name, found in self.evaluations.items()
        }
        if self.reference:
            rows |= {name: doubts(name, self.reference) for name in (FLOOR, CEILING)}
        return rows

    def table(self):
        """[(row, [`Cell` for each of `COLUMNS`])]."""
        reasons = self.reasons()
        return [(row, cells(figures, reasons[row])) for row, figures in self.figures().items()]

    def legend(self):
        """{letter: reason} of all letters in the table, in alphabetical order."""
        found = {}
        for reasons in self.reasons().values():
            found |= reasons
        return dict(sorted(found.items()))


def figures_of(found):
    """{name: figure} of an `Evaluation`, without those that were not measured."""
    sampling, count = found.seconds.get("sampling"), found.used["images"]
    likelihood = dict(found.likelihood or {})
    figures = {
        "parameters": found.used.get("parameters"),
        "training_seconds": found.seconds.get("training"),
        "sampling_milliseconds": sampling and 1000 * sampling / count,
        "likelihood_images": likelihood.pop("images", None),
        **likelihood,
        **found.rows.get(SAMPLES, {}),
    }
    return {name: value for name, value in figures.items() if value is not None}


def cells(figures, reasons, columns=COLUMNS):
    """A `Cell` for each column; "-" for a figure that could not be measured."""
    return [
        Cell("-") if figures.get(name) is None else Cell(text(figures), letters(name, reasons))
        for name, text in columns.values()
    ]


def groups(evaluations):
    """[`Group`] of {name: `Evaluation`}. Figures of different groups are not comparable.

    Runs measured on the same images with the same encoder form a group. Runs without samples join
    the first group of their images.
    """
    keys = {}
    for name, found in sorted(evaluations.items(), key=lambda item: not item[1].rows):
        used = found.used
        images = (used["data_sha256"], used["split"], used["images"])
        encoder = (used.get("encoder"), used.get("encoder_sha256"))
        with_same_images = (key for key in keys.values() if key[0] == images)
        keys[name] = (images, encoder) if found.rows else next(with_same_images, (images, None))
    return [
        _group({name: found for name, found in evaluations.items() if keys[name] == key})
        for key in dict.fromkeys(keys[name] for name in evaluations)
    ]


def _group(members):
    with_samples = [found for found in members.values() if found.rows]
    reference = with_samples[0] if with_samples else None
    return Group((reference or next(iter(members.values()))).used, members, reference)
