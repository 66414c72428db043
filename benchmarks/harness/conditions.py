"""The conditions that cases were measured under: what is common to all, and what differs."""

from dataclasses import dataclass

from benchmarks.harness import machine
from benchmarks.harness.provenance import short
from kgen.huge_pages import GAINING

WHAT = {"data set": "data", "budget": "budget", "batch size": "batch_size", "seed": "seed"}


@dataclass
class Group:
    """Records whose conditions are the same; `conditions` are {name: words}."""

    conditions: dict
    records: list


def of(record):
    """{name: words} of one record: what was measured, on what, from which commit, with what."""
    conditions = {name: str(record["cell"][field]) for name, field in WHAT.items()}
    conditions["machine"] = machine.words(record["machine"])
    conditions["--device"] = record["cell"]["device"]
    backend, pages = record["cell"]["backend"], record.get("huge_pages", False)
    if pages or backend in GAINING:
        conditions[f"huge pages on {backend}"] = "yes" if pages else "no"
    if record["status"] == "measured":
        conditions["device"] = record["results"]["environment"]["device"]
    return conditions | {"commit": short(record["commit"])} | record["versions"]


def groups(records):
    """Records by their conditions. One that lacks a condition, as the version of another backend's
    framework, differs by none.
    """
    found = []
    for record in records:
        conditions = of(record)
        for group in found:
            if all(
                group.conditions.get(name, words) == words for name, words in conditions.items()
            ):
                group.conditions |= conditions
                group.records.append(record)
                break
        else:
            found.append(Group(conditions, [record]))
    return found


def common(groups):
    """{name: words} of the conditions that are the same in all groups."""
    values = _values(groups)
    return {name: min(words) for name, words in values.items() if len(words) == 1}


def differing(groups):
    """Names of the conditions that are not the same in all groups."""
    return [name for name, words in _values(groups).items() if len(words) > 1]


def period(records):
    """When records were measured, in words: a day, or two."""
    days = sorted({record["started"][:10] for record in records})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def _values(groups):
    values = {}
    for group in groups:
        for name, words in group.conditions.items():
            values.setdefault(name, set()).add(words)
    return values
