"""Write evaluations as CSV and LaTeX."""

import csv
import re

from kgen.evaluation import summary
from kgen.evaluation.tables import title
from kgen.files import atomic_write

# Columns of the CSV file: how a row was measured, then its figures.
MEASURED_WITH = ("data", "split", "images", "seed", "encoder", "encoder_sha256", "ema")
FIGURES = (
    "parameters",
    "training_seconds",
    "sampling_milliseconds",
    "likelihood",
    "samples",  # of a bound
    "likelihood_images",
    "negative_log_prob_nats",
    "standard_error_nats",
    "optimistic_negative_log_prob_nats",  # of an estimate
    "bits_per_dimension",
    "standard_error_bits",
    *summary.OF_FEATURES,
    "kernel_distance_deviation",
)
IN_LATEX = {
    "<= ": r"$\leq$ ",
    "+-": r"$\pm$",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def write_csv(path, evaluations):
    """Write the figures in full precision as CSV: one row per run, floor and ceiling once.

    A figure that was not measured is empty.

    Args:
        path: of the file, which is written atomically.
        evaluations: {name of the run: `Evaluation`}.

    Raises:
        KgenError: if it cannot be written.
    """
    rows = [
        {
            "run": row,
            **{name: group.used.get(name) for name in MEASURED_WITH},
            "ema": group.evaluations[row].used["ema"] if row in group.evaluations else None,
            **figures,
            "doubts": "; ".join(group.reasons()[row].values()),
        }
        for group in summary.groups(evaluations)
        for row, figures in group.figures().items()
    ]
    with (
        atomic_write(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        names = ["run", *MEASURED_WITH, *FIGURES, "doubts"]
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def write_latex(path, evaluations):
    """Write the first table as LaTeX, one `tabular` for each group of comparable runs.

    Args and errors as of `write_csv`.
    """
    lines = [line for group in summary.groups(evaluations) for line in _tabular(group)]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _tabular(group):
    yield f"% {title(group)}"
    yield rf"\begin{{tabular}}{{l{'r' * len(summary.COLUMNS)}}}"
    yield rf"{' & '.join(['', *summary.COLUMNS])} \\ \hline"
    for row, cells in group.table():
        yield rf"{' & '.join([escaped(row), *map(_in_latex, cells)])} \\"
    yield r"\end{tabular}"
    for letter, reason in group.legend().items():
        yield rf"\par {letter}: {escaped(reason)}."


def _in_latex(cell):
    return escaped(cell.text) + (rf"$^{{\mathrm{{{cell.letters}}}}}$" if cell.letters else "")


def escaped(text):
    """A text escaped for LaTeX; <= and +- become symbols."""
    special = "|".join(map(re.escape, IN_LATEX))
    return re.sub(special, lambda found: IN_LATEX[found[0]], text)
