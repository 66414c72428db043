"""README's table of models: what kgen measured, beside what is published.

    python -m benchmarks.table

It replaces the lines of README.md between two marks. kgen's figures come from `records/`, the
published ones from `PUBLISHED`.
"""

import json
from pathlib import Path

import kgen
from kgen.encoders.frozen import FROZEN
from kgen.evaluation.summary import IDENTITY
from kgen.models import REGISTRY

ROOT = Path(__file__).parents[1]
README, RECORDS = ROOT / "README.md", Path(__file__).parent / "records"
FIRST, LAST = "<!-- made by: python -m benchmarks.table -->\n", "<!-- end of the table -->\n"
HEADINGS = ("name", "model", "data", "measured", "published", "record")
NONE = "no figure yet"
SHOWN_BY_SAMPLES = ("ddpm", "improved_ddpm", "edm", "flow_matching")  # beside their likelihoods
MANY = 10_000  # test images; a figure of fewer says so

# {(model, data): figure and protocol}, of the same images: the fixed and the dynamic binarisation
# differ by about two nats. (m): quoted from memory of the paper.
PUBLISHED = {
    ("vae", "binarized_mnist"): "89.78 (1 x 400, z = 40, 500 epochs, k = 200)",
    ("iwae", "binarized_mnist"): "88.71, 87.63, 87.10 (trained with k = 1, 5, 50; 2 x 200, z = 50,"
    " k = 5,000)",
    ("iaf_vae", "binarized_mnist"): "95.33 (small networks; without the flow 97.10)",
    ("fvsbn", "binarized_mnist"): "97.45 (m)",
    ("nade", "binarized_mnist"): "88.86 (500 units)",
    ("made", "binarized_mnist"): "88.40 (1 x 8,000), 88.04 (32 masks), 86.64 (2 x 8,000, 32 masks)",
    ("pixelcnn", "binarized_mnist"): "81.30 (15 residual layers)",
    ("pixelrnn", "binarized_mnist"): "79.20 (Diagonal BiLSTM), 80.54 (m) (Row LSTM)",
    ("rbm", "binarized_mnist"): "86.34 (m) (500 units, CD-25)",
    ("vae", "mnist:dynamic"): "86.77 (convolutional, k = 1)",
    ("iwae", "mnist:dynamic"): "86.76, 85.54, 84.78 (trained with k = 1, 5, 50; k = 5,000)",
    ("fvsbn", "mnist:dynamic"): "96.58 (50 epochs)",
    ("nade", "mnist:dynamic"): "85.65 (500 units, 50 epochs)",
    ("made", "mnist:dynamic"): "84.87 (1 x 8,000, 85 epochs)",
    ("pixelcnn", "mnist:dynamic"): "81.45 (457 epochs)",
    ("gated_pixelcnn", "mnist:dynamic"): "81.50 (10 layers of 128)",
    ("image_transformer", "mnist:dynamic"): "79.17 (8 blocks, 64 channels)",
    ("realnvp", "mnist"): "1.078, with variational dequantisation 1.043 (0.56 million parameters,"
    " 200 epochs)",
    ("glow", "mnist"): "1.05 (m)",
    ("pixelcnn", "mnist"): "0.808 (7 gated blocks of 64 channels, 150 epochs)",
    ("gated_pixelcnn", "mnist"): "0.808 (7 gated blocks of 64 channels, 150 epochs)",
}

SAID = ("digit", "colour", "size", "place", "background")


def main():
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(FIRST)
    README.write_text(before + FIRST + table() + LAST + rest.partition(LAST)[2], encoding="utf-8")
    print(README)


def table():
    """The table in Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *rows(records())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def records():
    """{name: record} of the runs that `benchmarks/record.py` kept.

    Beside them what studies found: as "captions" the record of `studies/captions.py`, whose cases
    begin with the samples, as "nearest" the record of `studies/nearest.py`, as "translation" the
    run's case of `studies/translation.py`, as "codes" the record of `studies/codes.py`, with the
    first of its runs.
    """
    found = {path.stem: json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))}
    for name, record in found.items():
        for kind in ("captions", "nearest"):
            if study := found.get(f"{kind}-{name}"):
                record[kind] = study
    for study in [study for name, study in found.items() if name.startswith("translation-")]:
        for case in study["cases"]:
            if case["run"] in found:
                found[case["run"]]["translation"] = case
    for study in [study for name, study in found.items() if name.startswith("codes-")]:
        if (run := study["cases"][0]["run"]) in found:
            found[run]["codes"] = study
    of_runs = {name: record for name, record in found.items() if "cases" not in record}
    return {name: record for name, record in of_runs.items() if record.get("model") in REGISTRY}


def rows(found):
    """A row for each record with a figure, in the order of the models; at least one a model."""
    for model, entry in REGISTRY.items():
        figures = {
            name: measured(record) for name, record in found.items() if record["model"] == model
        }
        figures = {name: figure for name, figure in figures.items() if figure}
        for name, figure in figures.items():
            record = found[name]
            published = PUBLISHED.get((model, data_of(record)), "")
            linked = f"[{name}](benchmarks/records/{name}.json): {training(record)}"
            linked += f"; {settings}" if (settings := settings_of(record)) else ""
            yield [
                f"`{model}`",
                entry.description,
                data_in_words(record),
                figure,
                published,
                linked,
            ]
        if not figures:
            yield [f"`{model}`", entry.description, "", NONE, "", ""]


def settings_of(record):
    """What was set for a training, as on the command line; "" where the defaults were taken."""
    return ", ".join(f"`{setting}`" for setting in record.get("options", {}).get("set") or ())


def data_of(record):
    """The data as `--data` names them, such as "mnist:dynamic"."""
    return record.get("options", {}).get("data") or record["data"]["name"]


def loaded_data(record, source=None):
    """The data of a run, in the size and colours it was trained in.

    Args:
        record: as in run.json.
        source: for `kgen.data.load`; None for that of the run.
    """
    options = record.get("options", {})
    return kgen.data.load(
        source or data_of(record),
        size=options.get("size"),
        mode=options.get("color"),
        grayscale=bool(options.get("grayscale")),
    )


def data_in_words(record):
    subset = ", a subset" if "subset" in record["data"]["source"] else ""
    return f"`{data_of(record)}`{subset}"


def training(record):
    """Length and time of a training, in words."""
    trained = record.get("trained_epochs") or record["epochs"]
    limit = record.get("options", {}).get("limit")
    epochs = f"{trained} epoch{'s' * (trained != 1)}{f' of {limit:,} images' if limit else ''}"
    if record.get("best_epoch"):
        epochs = f"{epochs} (best: {record['best_epoch']})"
    if record["status"] != "finished":
        epochs = f"{epochs}, not finished"
    return f"{epochs}, {duration(record['seconds'])}"


def duration(seconds):
    return f"{seconds / 60:.0f} minutes" if seconds >= 100 else f"{seconds:.0f} s"


def measured(record):
    """A record's figures: likelihood, else Frechet distance, else loss; None if it has none.

    Of diffusion models both.
    """
    estimates, found = record.get("test", {}).get("estimates"), []
    if estimates:
        found = [likelihood(max(estimates, key=number_of_samples), is_in_nats(record))]
    distance = (
        record.get("evaluation", {}).get("rows", {}).get("samples", {}).get("frechet_distance")
    )
    is_shown = not estimates or record["model"] in SHOWN_BY_SAMPLES
    if distance is not None and is_shown and is_comparable(record["evaluation"]["used"]):
        found.append(f"Frechet distance {distance:.1f}{drawn_as_asked(record)}")
    if found and "psnr" in record.get("evaluation", {}).get("rows", {}).get("samples", {}):
        found.append(beside_targets(record["evaluation"]["rows"]))
    if estimates and "perplexity" in estimates[0] and "latents" in record["evaluation"]:
        found.append(told_by_latents(record["evaluation"]["latents"]))
    if "captions" in record:
        found.append(as_captions_say(record["captions"]))
    if "nearest" in record:
        found.append(nearest_training_images(record["nearest"]))
    if "translation" in record:
        found.append(as_asked(record["translation"]))
    if "codes" in record:
        found.append(matching_classes(record["codes"]))
    if found:
        return "; ".join(found)
    if distance is None and "val_loss" in record["last_epoch"]:
        return f"loss {record['last_epoch']['val_loss']:.1f}"
    return None


def drawn_as_asked(record):
    """How the measured samples were drawn, where it was not as the run's own pictures are."""
    own = record.get("pictures") or {}
    sampling = record["evaluation"]["used"].get("sampling") or {}
    asked = [f"{name} {value}" for name, value in sampling.items() if own.get(name, value) != value]
    return f" ({', '.join(asked)})" if asked else ""


def beside_targets(rows):
    """How far translated images are from their targets, and how far the sources are."""
    names = {"l1": "L1 {:.3f}", "psnr": "PSNR {:.1f} dB", "ssim": "SSIM {:.2f}"}
    translated, sources = (
        ", ".join(text.format(rows[row][name]) for name, text in names.items())
        for row in ("samples", IDENTITY)
    )
    return f"{translated} (of the sources {sources})"


def told_by_latents(figures):
    """What the latents of a text say about it."""
    return (
        f"KL {figures['kl']:.1f}, mutual information {figures['mutual_information']:.1f}, "
        f"{figures['active_units']} of {figures['units']} latents active"
    )


def as_captions_say(study):
    """The fractions of samples that show what their captions say, attribute by attribute.

    And all attributes: of all samples, and of those whose pair no training image shows.
    """
    case = study["cases"][0]
    how = "".join(f" ({name} {value:g})" for name, value in study["sampling"].items())
    shares = ", ".join(f"{name} {case[name]:.0%}" for name in (*SAID, "all"))
    return f"as captions say{how}: {shares}; of new pairs all {case['all, held out']:.0%}"


def nearest_training_images(study):
    """How often samples are copies, and nearest to the image whose caption was asked for."""
    known, new = study["cases"]
    how = "".join(f" ({name} {value:g})" for name, value in study["sampling"].items())
    return (
        f"samples{how} for training captions: nearest to the image of that caption "
        f"{known['named']:.0%}, copies {known['copies']:.0%}; copies for new captions "
        f"{new['copies']:.0%}"
    )


def as_asked(case):
    """What a translation keeps to, and what codes still tell, or other attributes."""
    if "probe" in case:
        told = f"class told from codes {case['probe']:.0%}"
        found = f"translated as asked {case['asked']:.0%}, {told}"
    else:
        shares = {"digit": case["asked"], **{name: case[name] for name in SAID if name in case}}
        found = "translated as asked: " + ", ".join(f"{n} {v:.0%}" for n, v in shares.items())
    return f"{found}, squared error {case['reconstruction']:.4f}"


def matching_classes(study):
    """How often a code, learnt without labels, is that of the image's class."""
    middle, best = (study[name]["accuracy"] for name in ("median", "best"))
    seeds = len(study["cases"])
    told = f"median of {seeds} seeds, best {best:.0%}" if seeds > 1 else "1 seed"
    return f"codes match the classes {middle:.0%} ({told})"


def number_of_samples(estimate):
    return estimate.get("samples") or estimate.get("draws") or 0


def likelihood(estimate, in_nats):
    """The mean with its standard error, in nats or in bits per dimension; of texts perplexity."""
    nats, bits = estimate["negative_log_prob_nats"], estimate["bits_per_dimension"]
    scale, digits = (1, 2) if in_nats else (bits / nats, 3)
    error = estimate["standard_error_nats"] * scale
    best = estimate.get("optimistic_negative_log_prob_nats")
    text = f"{best * scale:.{digits}f} to " if best else ""
    text += f"{nats * scale:.{digits}f} ± {error:.{digits}f}"
    if estimate["likelihood"] == "bound":
        text = f"≤ {text}"
    notes = [f"k = {estimate['samples']:,}"] if "samples" in estimate else []
    notes += (
        [f"{estimate['draws']} draw{'s' * (estimate['draws'] > 1)}"] if "draws" in estimate else []
    )
    if "perplexity" in estimate:
        at_most = "≤ " * (estimate["likelihood"] == "bound")
        text = f"{text} nats a text, perplexity {at_most}{estimate['perplexity']:.1f}"
    elif estimate["images"] < MANY:
        notes += [f"{estimate['images']:,} images"]
    return f"{text} ({', '.join(notes)})" if notes else text


def is_in_nats(record):
    """Whether the items are images of two levels, or texts, which have none."""
    levels = record["data"].get("levels") or record["evaluation"]["used"]["levels"]
    return levels in (2, None)


def is_comparable(used):
    """Whether the encoder is one that comes with kgen, the same for everybody."""
    return used.get("encoder_sha256") in {frozen.identity.sha256 for frozen in FROZEN}


if __name__ == "__main__":
    main()
