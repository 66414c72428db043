"""One page a model, from its file and the records of what was measured; and the families' table."""

import importlib
import inspect
from pathlib import Path

from texts import cell, first_sentence, linked, table

from benchmarks import table as figures
from kgen import models
from kgen.training import GenerativeModel, Lacking

TEXTS = 12  # of those that a run drew
RECORDS = Path(__file__).parents[2] / "benchmarks" / "records"

# What the attribute `likelihood` says of p(x): Goodfellow's taxonomy.
KINDS = {
    "exact": ("explicit, tractable", "log p(x) is computed as it is."),
    "bound": (
        "explicit, approximate",
        "There is a p(x), of which a lower bound is computed. A flow's density is exact for "
        "continuous values; pixels are whole numbers, of whose probability it gives a bound.",
    ),
    "estimate": ("explicit, estimated", "log p(x) is known up to a constant, which is estimated."),
    None: ("implicit", "Images can be drawn; of p(x) nothing is known."),
    "no images": ("no distribution", "Images are encoded and decoded, none can be drawn."),
}

LIKELIHOODS = {"exact": "exact", "bound": "lower bound", "estimate": "estimate", None: "none"}
# What the attributes `encodes` and `decodes` say.
LATENTS = {
    (True, True): "encoded and decoded",
    (True, False): "encoded",
    (False, True): "decoded",
    (False, False): "none",
}


def contents():
    """{path: page} of every model, their overview, and what the families share."""
    pages = {f"models/{name}.md": page(name) for name in models.REGISTRY}
    return {"models/index.md": overview(), "models/families.md": families(), **pages, **pictures()}


def navigation():
    return [
        "models/index.md",
        *({name: f"models/{name}.md"} for name in models.REGISTRY),
        {"What they share": "models/families.md"},
    ]


# === The overview ===


def kind(model_class):
    """The key of `KINDS` that a class belongs to."""
    return model_class.likelihood if model_class.can_sample else "no images"


def overview():
    names = sorted(models.REGISTRY, key=lambda name: list(KINDS).index(kind(models.get(name))))
    headings = ["model", "p(x)", *capabilities(GenerativeModel)]
    rows = [
        [f"[`{name}`]({name}.md)", KINDS[kind(model_class)][0], *capabilities(model_class).values()]
        for name in names
        for model_class in [models.get(name)]
    ]
    meanings = "\n".join(f"- **{word}**: {meaning}" for word, meaning in KINDS.values())
    return f"""# Models

{table(headings, rows)}
Read off the models' own attributes, which the contract tests hold them to.

{meanings}

*Sampling*: "direct" is one pass through networks; "sequential" draws one part of an item after the
other; "iterative" takes many steps on all of it. *Conditional*: labels, or what else is given, can
enter the model.

## By name

{table(["name", "model"], [[f"[`{n}`]({n}.md)", text] for n, text in models.names().items()])}
"""


def capabilities(model_class):
    """{heading: what the class's attributes say}."""
    return {
        "likelihood": LIKELIHOODS[model_class.likelihood],
        "latents": LATENTS[model_class.encodes, model_class.decodes],
        "sampling": model_class.sampling if model_class.can_sample else "no samples",
        "conditional": "yes" if model_class.conditional else "no",
    }


# === A model's page ===


def page(name):
    model_class = models.get(name)
    title, text = inspect.getdoc(importlib.import_module(model_class.__module__)).split("\n", 1)
    terms = ", ".join(f"`{term}`" for term in model_class.metric_names)
    facts = {"p(x)": KINDS[kind(model_class)][0], **capabilities(model_class), "terms": terms}
    found = "\n".join(measured(name, record) for name, record in records_of(name).items())
    return f"""# {title.rstrip(".")}

```
model = kgen.models.create("{name}", data)      # python -m kgen.fit --model {name}
```

{linked(text.strip())}

## What it can do

{table(facts, [facts.values()])}
{methods(model_class)}
## Arguments

::: {model_class.__module__}.{model_class.__name__}
    options:
      members: false

## Measured

{found or "Nothing is recorded yet."}
"""


def methods(model_class):
    """A table of what inference offers, each method where the class or its family defines it."""
    rows = []
    for home in model_class.__mro__[: model_class.__mro__.index(GenerativeModel)]:
        for name, method in vars(home).items():
            of_a_capability = name == "sample" or name in vars(Lacking)
            known = hasattr(GenerativeModel, name) and not of_a_capability
            if inspect.isfunction(method) and not name.startswith("_") and not known:
                text = first_sentence(method)
                if text and not any(row[0].startswith(f"`{name}(") for row in rows):
                    rows.append([f"`{signature(name, method)}`", text])
    return table(["method", "what it does"], rows)


def signature(name, method):
    """As in a call: without `self` and annotations."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    return name + str(inspect.Signature(plain))


def families():
    """The base classes of the models, in the order of their files."""
    registered = {models.get(name) for name in models.REGISTRY}
    shared = {
        base: None
        for model_class in registered
        for base in model_class.__mro__
        if base.__module__.startswith("kgen.models.") and base not in registered
    }
    parts = []
    for base in sorted(shared, key=lambda base: (base.__module__, base.__name__)):
        where = f"{base.__module__}.{base.__name__}"
        parts.append(f"::: {where}\n    options:\n      members: false\n      heading_level: 2\n")
    return "# What the models of a family share\n\n" + "\n".join(parts)


# === What was measured ===


def records_of(model):
    """{name: record} of the runs of a model."""
    return {name: record for name, record in figures.records().items() if record["model"] == model}


def pictures():
    """{path: PNG} of the records' samples."""
    runs = (records_of(model) for model in models.REGISTRY)
    paths = [RECORDS / f"{name}.png" for names in runs for name in names]
    return {f"models/{path.name}": path.read_bytes() for path in paths if path.exists()}


def measured(name, record):
    """What a record holds, with what it was found by."""
    versions, backend = record["versions"], record["backend"]
    rows = [
        ["command", f"`{record['command']}`"],
        ["data", f"{record['data']['name']}: {record['data']['source']}"],
        [
            "training",
            f"{record['status']}, {duration(record['seconds'])}, seed {record['seed']}, "
            f"{backend} {versions[backend]} on {record['device']}, "
            f"{record['machine']['processors']} processors",
        ],
        *([f"test set, {split}", text] for split, text in likelihoods(record)),
        *latents(record),
        ["last epoch", last_epoch(record)],
    ]
    text = f"### {name}\n\n{table(['', ''], rows)}\n"
    if record.get("evaluation", {}).get("rows"):
        text += quality(record["evaluation"])
    if (RECORDS / f"{name}.png").exists():
        text += f"\n![Images of the run {name}, after its last epoch]({name}.png)\n"
    if (RECORDS / f"{name}.txt").exists():
        text += f"\n{texts_of(name)}"
    return text


def texts_of(name):
    """The first texts that a run drew."""
    lines = (RECORDS / f"{name}.txt").read_text(encoding="utf-8").splitlines()[:TEXTS]
    return "\n".join(["Drawn by the model:\n", "```", *lines, "```\n"])


def duration(seconds):
    return f"{seconds / 60:.0f} minutes" if seconds >= 100 else f"{seconds:.0f} s"


def likelihoods(record):
    from kgen.evaluation.tables import sides_in_words

    items, *_ = record["data"].get("space", "images").split()
    for found in record.get("test", {}).get("estimates", []):
        drawn = (f" of {found[what]} {what}" for what in ("samples", "draws") if what in found)
        samples = next(drawn, "")
        if "log_partition" in found:
            samples = f": {sides_in_words(found)}"
        words = f", perplexity {found['perplexity']:.1f}" if "perplexity" in found else ""
        yield (
            f"{found['likelihood']}{samples}",
            f"{found['negative_log_prob_nats']:.2f} ± {found['standard_error_nats']:.2f} nats per "
            f"{items.removesuffix('s')}, {found['bits_per_dimension']:.4f} bits per dimension "
            f"({found['images']:,} {items}){words}",
        )


def latents(record):
    """The row of how much the latents are used; none for a model without normal posteriors."""
    from kgen.evaluation.tables import latents_in_words

    found = record.get("evaluation", {}).get("latents")
    return [["latents", latents_in_words(found)]] if found else []


def last_epoch(record):
    return ", ".join(
        f"{term} {value:.4g}" for term, value in record["last_epoch"].items() if value is not None
    )


def quality(evaluation):
    """Sample quality, in the columns of `python -m kgen.evaluate`."""
    from kgen.evaluation import Evaluation
    from kgen.evaluation.summary import doubts
    from kgen.evaluation.tables import COLUMNS, EXPLANATION, details, encoder_in_words

    found = Evaluation(rows=evaluation["rows"], used=evaluation["used"])
    rows = [[row, *map(str, cells)] for row, cells in details(found, found.rows)]
    reasons = {}
    for row in found.rows:
        reasons |= doubts(row, found)
    texts = [cell(EXPLANATION), *(f"{letter}: {why}." for letter, why in reasons.items())]
    texts.append(f"Encoder: {encoder_in_words(found.used)}.")
    return f"\n{table(['', *COLUMNS], rows)}\n{' '.join(texts)}\n"
