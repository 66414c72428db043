"""`python -m benchmarks.report RESULTS.jsonl ...`: tables and plots from result lines alone."""

from importlib import resources
from pathlib import Path

from benchmarks import results
from benchmarks.sections import done, sections
from kgen import cli
from kgen.files import whole_file


def parser():
    parser = cli.Parser("python -m benchmarks.report", description="Make a report of results.")
    parser.add_argument("results", metavar="RESULTS.jsonl", type=Path, nargs="+")
    parser.add_argument("--html", metavar="FILE", type=Path, help="a page that stands alone")
    parser.add_argument("--markdown", metavar="FILE", type=Path)
    return parser


def main(arguments=None):
    options = parser().parse_args(arguments)
    records = [record for path in options.results for record in results.read(path)]
    if options.html:
        with whole_file(options.html) as path:
            path.write_text(as_html(records), encoding="utf-8")
        print(options.html)
    text = as_markdown(records)
    if options.markdown:
        with whole_file(options.markdown) as path:
            path.write_text(text, encoding="utf-8")
        print(options.markdown)
    if not options.html and not options.markdown:
        print(text)


def as_markdown(records):
    """The report's tables as Markdown."""
    records = named(records)
    lines = [f"# {TITLE}", "", *introduction(records), ""]
    for section in sections(records):
        lines += [f"## {section.title}", "", section.note, ""]
        if section.rows:
            rule = ["---", *["---:"] * (len(section.heading) - 1)]
            table = [section.heading, rule, *section.rows]
            lines += ["| " + " | ".join(map(str, row)) + " |" for row in table] + [""]
    return "\n".join(lines)


def as_html(records):
    """The report as one page that needs no network."""
    import jinja2
    from markupsafe import Markup

    records = named(records)
    source = resources.files("benchmarks").joinpath("report.html").read_text()
    parts = sections(records, plots=True)
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
    """Sentences: the machines, versions and commits that the lines were measured on."""
    machines = {
        f"{m['processor']}, {m['processors']} processors, {m['memory_bytes'] / 2**30:.0f} GiB, "
        f"{m['system']}"
        for m in (record["machine"] for record in records)
    }
    environments = [record["results"]["environment"] for record in done(records)]
    versions = {
        f"{package} {version}"
        for environment in environments
        for package, version in environment["versions"].items()
    }
    devices = {environment["device"] for environment in environments}
    commits = {str(environment["commit"]) for environment in environments}
    return [
        f"Machine: {'; '.join(sorted(machines))}. Device: {', '.join(sorted(devices))}.",
        f"Versions: {', '.join(sorted(versions))}. Commit: {', '.join(sorted(commits))}.",
        "One process a cell. Cells ran one after the other: only ratios measured by turns, with "
        "their intervals, say that something is faster.",
    ]


def named(records):
    """The records, each with its name: model, backend, and the processor if there are several."""
    processors = {record["machine"]["processor"] for record in records}
    found = []
    for record in records:
        place = [record["machine"]["processor"]] if len(processors) > 1 else []
        words = [record["cell"]["model"], record["cell"]["backend"], *place]
        found.append({**record, "name": ", ".join(words)})
    return found


if __name__ == "__main__":
    cli.run(main)
