"""`python -m benchmarks.report [RESULTS.jsonl ...]`: tables and plots from result lines alone."""

from importlib import resources
from pathlib import Path

from benchmarks.harness import conditions, load, results
from benchmarks.harness.sections import done, sections
from benchmarks.peers import records as peers
from kgen import cli
from kgen.errors import KgenError
from kgen.files import atomic_write


def parser():
    parser = cli.Parser("python -m benchmarks.report", description="Make a report of results.")
    parser.add_argument(
        "results",
        metavar="RESULTS.jsonl",
        type=Path,
        nargs="*",
        help="default: what python -m benchmarks wrote of this machine",
    )
    parser.add_argument(
        "--peers",
        metavar="FILE.jsonl",
        type=Path,
        help="results of python -m benchmarks.peers; default: what it wrote of this machine",
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="a page that stands alone")
    parser.add_argument("--markdown", metavar="FILE", type=Path)
    return parser


def main(arguments=None):
    options = parser().parse_args(arguments)
    paths = options.results or [results.default_path()]
    records = results.read(*paths)
    if not records:
        raise KgenError(
            f"Expected measured cases in {', '.join(map(str, paths))}, received none: run "
            "`python -m benchmarks` first."
        )
    beside = beside_packages(options)
    if options.html:
        with atomic_write(options.html) as path:
            path.write_text(as_html(records, beside), encoding="utf-8")
        print(options.html)
    text = as_markdown(records, beside)
    if options.markdown:
        with atomic_write(options.markdown) as path:
            path.write_text(text, encoding="utf-8")
        print(options.markdown)
    if not options.html and not options.markdown:
        print(text)


def beside_packages(options):
    """[the section on public packages], or [] without results of them.

    If files of cases are named, they may be another machine's: its results must be named, too.
    """
    path = options.peers
    if path is None and not options.results and peers.default_path().exists():
        path = peers.default_path()
    return [peers.section(peers.read(path))] if path else []


def as_markdown(records, beside=()):
    """The report's tables as Markdown, and further sections."""
    records = list(named(records))
    lines = [f"# {TITLE}", "", *(f"- {line}" for line in introduction(records)), ""]
    for section in [*sections(records), *beside]:
        lines += [f"## {section.title}", "", section.note, ""]
        if section.rows:
            rule = ["---", *["---:"] * (len(section.heading) - 1)]
            table = [section.heading, rule, *section.rows]
            lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in table] + [""]
    return "\n".join(lines)


def _cell(value):
    return str(value).replace("|", r"\|")


def as_html(records, beside=()):
    """The report and further sections as one page that needs no network."""
    import jinja2
    from markupsafe import Markup

    records = list(named(records))
    source = resources.files("benchmarks.harness").joinpath("report.html").read_text()
    parts = [*sections(records, plots=True), *beside]
    for part in parts:
        part.plot = Markup(part.plot)  # drawn here, not data
    return (
        jinja2.Environment(autoescape=True)
        .from_string(source)
        .render(
            title=TITLE,
            introduction=introduction(records),
            sections=parts,
            grids=[(record["name"], record["results"]["samples"]) for record in done(records)],
        )
    )


TITLE = "kgen benchmarks"


def introduction(records):
    """Sentences: what was measured, when, on what, with what, beside what load."""
    groups = conditions.groups(records)
    common, differing = conditions.common(groups), conditions.differing(groups)
    cases = "1 case" if len(records) == 1 else f"{len(records)} cases"
    what = f"{cases} (a model on a backend), measured {conditions.period(records)}"
    words = [f"{name} {value}" for name, value in common.items() if name != "machine"]
    lines = [f"{what}: {', '.join(words)}."]
    if "machine" in common:
        lines.append(f"Machine: {common['machine']}.")
    if differing:
        lines.append(
            f"Cases differ in {', '.join(differing)}: figures of rows with another number, in "
            "brackets, were measured under other conditions (the first table)."
        )
    return [
        *lines,
        *loads(records),
        "One process a case. Cases ran one after the other: only ratios measured by turns, with "
        "their intervals, say that something is faster.",
    ]


def loads(records):
    """Sentences on what other processes took of the machine meanwhile."""
    shares = [load.worst(record["load"]) for record in records]
    known = [share for share in shares if share is not None]
    heavy = sum(load.is_heavy(record["load"]) for record in records)
    if heavy:
        yield (
            f"Warning: a loaded machine. Beside {heavy} of {len(records)} cases, which are marked "
            f"as loaded, other processes took more than {load.LIMIT:.0%} of the processors' time, "
            f"up to {max(known):.0%}. Their times are too long, and their ratios uncertain: "
            "measure them anew, into another file (--out)."
        )
    elif known:
        yield f"Load: other processes took at most {max(known):.1%} of the processors' time."
    if len(known) < len(records):
        yield f"Load: not known of {len(records) - len(known)} of {len(records)} cases."


def named(records):
    """The records, those of a model on a backend together, each with its name: model, backend,
    number of its conditions (if there are several), and whether the machine was loaded.
    """
    first = {}
    for place, record in enumerate(records):
        first.setdefault(_subject(record), place)
    records = sorted(records, key=lambda record: first[_subject(record)])
    groups = conditions.groups(records)
    numbers = {r["hash"]: number for number, group in enumerate(groups, 1) for r in group.records}
    for record in records:
        name = ", ".join(_subject(record))
        name += f" [{numbers[record['hash']]}]" if len(groups) > 1 else ""
        name += ", loaded" if load.is_heavy(record["load"]) else ""
        yield {**record, "name": name}


def _subject(record):
    return record["cell"]["model"], record["cell"]["backend"]


if __name__ == "__main__":
    cli.run(main)
