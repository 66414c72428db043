"""Evaluations as tables of text, for the terminal and the HTML page."""

from kgen.evaluation import summary
from kgen.evaluation.summary import CEILING, FLOOR, IDENTITY, SAMPLES, Cell

# {heading: (figure, format)}, in the order of the columns.
COLUMNS = {
    "FID": ("frechet_distance", "{:.2f}"),
    "FID-inf": ("frechet_distance_infinity", "{:.2f}"),
    "KID": ("kernel_distance", "{:.3g}"),
    "precision": ("precision", "{:.3f}"),
    "recall": ("recall", "{:.3f}"),
    "density": ("density", "{:.3f}"),
    "coverage": ("coverage", "{:.3f}"),
    "score": ("inception_score", "{:.2f}"),
    "memorized": ("memorized", "{:.1%}"),
}
EXPLANATION = (
    "FID, FID-inf (extrapolated to infinitely many samples), KID: lower is better; precision, "
    "recall, density, coverage and score: higher is better; memorized: the share of samples that "
    "lie nearer to training images than all but 1 % of the held-out images, 1 % for new images. "
    "Features are the encoder's: figures of another encoder are not comparable."
)


def cells(figures, reasons=()):
    """A `Cell` for each of `COLUMNS`; "-" for a figure that could not be measured.

    Args:
        figures: {name: figure or None}.
        reasons: the doubts about them, see `summary.doubts`.
    """
    return [
        Cell("-")
        if figures[name] is None
        else Cell(pattern.format(figures[name]), summary.letters(name, reasons))
        for name, pattern in COLUMNS.values()
    ]


def as_text(evaluations):
    """Plain text: one table with a row per run, then the details of each run.

    Args:
        evaluations: {name of the run: `Evaluation`}.
    """
    groups = summary.groups(evaluations)
    lines = [line for group in groups for line in ["", title(group), *_summary(group)]]
    lines += ["", summary.EXPLANATION, EXPLANATION]
    for group in groups:
        for name, found in group.evaluations.items():
            lines += ["", name]
            lines += _aligned(list(COLUMNS), details(found, [SAMPLES])) if found.rows else []
            lines += [f"{heading}: {text}" for heading, text in notes(found).items()]
        if group.reference:
            lines += ["", f"{FLOOR} and {CEILING}: {title(group)}"]
            lines += _aligned(list(COLUMNS), details(group.reference, [FLOOR, CEILING]))
    return "\n".join(lines)


def title(group):
    """A line: what the runs of a `summary.Group` were measured with."""
    used = group.used
    count = f"{used['images']:,} {items_of(used)}"
    words = f"{used['data']}, split {used['split']}, {count}, seed {used['seed']}"
    return f"{words}; {encoder_in_words(used)}" if "encoder" in used else words


def details(found, rows):
    """[(row, [`Cell` for each of `COLUMNS`])] for some rows of an `Evaluation`."""
    return [(row, cells(found.rows[row], summary.doubts(row, found))) for row in rows]


def _summary(group):
    legend = (f"{letter}: {reason}" for letter, reason in group.legend().items())
    return [*_aligned(list(summary.COLUMNS), group.table()), *legend]


def _aligned(headings, rows):
    """The lines of a table, its columns of equal width."""
    names = ["", *(row for row, _ in rows)]
    width = max(map(len, names))
    columns = zip([Cell(heading) for heading in headings], *(line for _, line in rows), strict=True)
    lines = zip([name.ljust(width) for name in names], *map(_column, columns), strict=True)
    return ["  ".join(line).rstrip() for line in lines]


def _column(cells):
    """Right-aligned texts, followed by the letters of their doubts."""
    width = max(len(cell.text) for cell in cells)
    space = max(len(cell.letters) for cell in cells)
    behind = 1 + space if space else 0
    return [cell.text.rjust(width) + f" {cell.letters}".ljust(behind)[:behind] for cell in cells]


def notes(found):
    """{title: text} of the notes below the table."""
    used = found.used
    texts = {"likelihood": likelihood_in_words(found.likelihood, items_of(used))}
    if found.latents:
        texts["latents"] = latents_in_words(found.latents)
    for row in (SAMPLES, IDENTITY):
        if "l1" in found.rows.get(row, {}):
            texts[f"{row} beside their targets"] = pairs_in_words(found.rows[row])
    if "encoder" in used:
        texts["encoder"] = encoder_in_words(used)
    count = f"{used['images']:,} {items_of(used)}"
    texts["used"] = f"{count} of {used['data']}, split {used['split']}, seed {used['seed']}"
    if found.rows:
        average = (
            f"an average of the weights ({used['ema']})" if used["ema"] else "the last weights"
        )
        texts["used"] += f", samples from {average}"
        sampling = ", ".join(
            f"{name}={value}" for name, value in (used.get("sampling") or {}).items()
        )
        texts["used"] += f" with {sampling}" if sampling else ""
    seconds = (f"{part} {seconds:.1f}" for part, seconds in found.seconds.items())
    return {**texts, "seconds": ", ".join(seconds)}


def items_of(used):
    """What the data are, such as "images" or "texts"."""
    return used.get("items", "images")  # as all were, before it was recorded


def likelihood_in_words(figures, items):
    if figures is None:
        return "none: the model has no log_prob"
    kind = figures["likelihood"]
    if "samples" in figures:  # of a bound that draws some
        kind = f"{kind}, {figures['samples']} samples"
    if "draw_deviation_nats" in figures:
        deviation = f"{figures['draw_deviation_nats']:.2f} nats"
        kind = f"{kind}, mean of {figures['draws']} draws that deviate by {deviation}"
    if "log_partition" in figures:
        kind += f"; {sides_in_words(figures)}"
    kind = f"{kind}; {figures['images']:,} {items}"
    if "perplexity" in figures:
        kind += f"; perplexity {figures['perplexity']:.2f} of words and ends"
    nats = (
        f"{figures['negative_log_prob_nats']:.2f} +- {figures['standard_error_nats']:.2f} nats per "
        f"{items.removesuffix('s')}"
    )
    if "perplexity" in figures:
        return f"{nats} ({kind})"
    return (
        f"{nats}, {figures['bits_per_dimension']:.4f} +- "
        f"{figures['standard_error_bits']:.4f} bits per dimension ({kind})"
    )


def latents_in_words(figures):
    return (
        f"KL {figures['kl']:.2f} nats, mutual information {figures['mutual_information']:.2f} "
        f"nats, {figures['active_units']} of {figures['units']} units active"
    )


def sides_in_words(figures):
    """How the log-partition function of an estimate was found, and the nats of its other side."""
    if figures["method"] == "enumeration":
        return "log Z by enumeration, exact"
    sizes = (figures[f"{way}effective_sample_size"] for way in ("reverse_", ""))
    return (
        f"log Z by reverse annealing; {figures['optimistic_negative_log_prob_nats']:.2f} nats by "
        f"annealed importance sampling alone; {figures['runs']} runs of "
        f"{figures['temperatures']:,} temperatures, effective sample sizes "
        f"{' and '.join(f'{size:.1f}' for size in sizes)}"
    )


def pairs_in_words(figures):
    return (
        f"mean absolute difference {figures['l1']:.2%} of the range, PSNR {figures['psnr']:.2f} "
        f"dB, SSIM {figures['ssim']:.4f}, Frechet distance {figures['frechet_distance']:.2f}"
    )


def encoder_in_words(used):
    words = used["encoder"]
    if used.get("encoder_test_accuracy"):
        words += f" ({used['encoder_test_accuracy']:.2%} of its test images right)"
    if used.get("encoder_sha256"):
        words += f", sha256 {used['encoder_sha256'][:16]}"
    return words
