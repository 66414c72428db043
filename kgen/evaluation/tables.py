"""An evaluation in words and figures, for the terminal and for a page."""

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


def cells(figures):
    """The texts of one row, in the order of `COLUMNS`; "-" for what could not be measured."""
    return [
        "-" if figures[name] is None else pattern.format(figures[name])
        for name, pattern in COLUMNS.values()
    ]


def as_text(name, found):
    """The table of one run, its likelihood, and what was used, in lines of plain text."""
    lines = ["", name]
    if found.rows:
        table = [["", *COLUMNS], *([row, *cells(figures)] for row, figures in found.rows.items())]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines += [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in table
        ]
    lines += [f"{title}: {text}" for title, text in notes(found).items()]
    return "\n".join(lines)


def notes(found):
    """{title: text} of what stands below the table."""
    used = found.used
    texts = {"likelihood": likelihood_in_words(found.likelihood)}
    if "encoder" in used:
        texts["encoder"] = encoder_in_words(used)
    texts["used"] = (
        f"{used['images']:,} images of {used['data']}, split {used['split']}, seed {used['seed']}"
    )
    if found.rows:
        average = (
            f"an average of the weights ({used['ema']})" if used["ema"] else "the last weights"
        )
        texts["used"] += f", samples from {average}"
    seconds = (f"{part} {seconds:.1f}" for part, seconds in found.seconds.items())
    return {**texts, "seconds": ", ".join(seconds)}


def likelihood_in_words(figures):
    if figures is None:
        return "none: the model has no log_prob"
    kind = figures["likelihood"]
    if kind == "bound":
        kind = f"bound, {figures['samples']} samples"
    return (
        f"{figures['negative_log_prob_nats']:.2f} +- {figures['standard_error_nats']:.2f} nats per "
        f"image, {figures['bits_per_dimension']:.4f} +- {figures['standard_error_bits']:.4f} bits "
        f"per dimension ({kind})"
    )


def encoder_in_words(used):
    words = used["encoder"]
    if used.get("encoder_test_accuracy"):
        words += f" ({used['encoder_test_accuracy']:.2%} of its test images right)"
    if used.get("encoder_sha256"):
        words += f", sha256 {used['encoder_sha256'][:16]}"
    return words
