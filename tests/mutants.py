"""Mutants of what kgen reads: made from a seed, and handed to the verbs in a bounded process.

`python tests/mutants.py KIND SEED` repeats one of them and prints what came of it. A `Worker` is a
process that has imported the framework once and takes one mutant after another.
"""

import contextlib
import io
import json
import os
import random
import select
import shutil
import string
import struct
import subprocess
import sys
import tempfile
import traceback
import zipfile
import zlib
from pathlib import Path

import numpy as np

MEMORY = 2 * 10**9  # bytes, beside what the process holds when it begins
SECONDS = 60.0  # a mutant: more is a hang, however busy the machine
LONGEST_LINE = 2_000  # characters of the one line
AS_USUAL = {"errors": "backslashreplace"}  # as Python opens standard error
MODELS = ("vae", "gan", "realnvp", "gated_pixelcnn", "iwae")
OF_RUNS = ("vae", "gan")
TRAINED = 0.02  # of the mutants of arguments really train: compiling takes seconds

HOSTILE_NUMBERS = (
    *(
        -1,
        0,
        1,
        2,
        3,
        64,
        256,
        512,
        4096,
        8192,
        65_536,
        10**6,
        2**26,
        10**9,
        2**31,
        2**63,
        10**30,
        10**400,
    ),
    *(0.0, -0.5, 0.5, 1.0, 1.5, 1e-300, 1e308, -1e308, float("nan"), float("inf"), -float("inf")),
)
HOSTILE_TEXTS = (
    *("", " ", "x", "0", "-1", "1e9", "None", "vae", "digits", "a/b", "../../x", "/etc/passwd"),
    *("nul\0byte", "\ud800", "\x1b[31mred\x07", "\u202eright to left", "two\nlines", "a\tb\r"),
    *(
        "$\\frac{$",
        "%s%n",
        "{}",
        "--out=x",
        "module:Class",
        "os:system",
        "x" * 5_000,
        "\u00e9" * 300,
    ),
    *("model.json", ".", "..", "~", "~nobody/x", "CON", "x" * 100_000),
)


def hostile(choose):
    """A value that a reader may not have thought of."""
    kind = choose.randrange(6)
    if kind <= 1:
        return choose.choice(HOSTILE_NUMBERS)
    if kind <= 3:
        return choose.choice(HOSTILE_TEXTS)
    values = [None, True, False, [], {}, [[]], [None], {"": 0}, [0] * 5_000, {"a": {"b": [1]}}]
    values += [[10**9] * 3, {str(n): [1.0] for n in range(4_000)}, ["x"], [[1, [2]]], {"x": None}]
    return choose.choice(values)


def places(value, path=()):
    """The path of every value within a value of JSON."""
    yield path
    pairs = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    for key, item in pairs:
        yield from places(item, (*path, key))


def mutated(choose, value):
    """A value of JSON with one to three changes, by which it may become any other."""
    for _ in range(choose.choice([1, 1, 1, 2, 3])):
        path = choose.choice(list(places(value)))
        if not path:
            if choose.random() < 0.1:
                return hostile(choose)
            continue
        *outer, key = path
        holder = value
        for step in outer:
            holder = holder[step]
        how = choose.randrange(5)
        if how == 0 and isinstance(holder, dict):
            holder[choose.choice(HOSTILE_TEXTS)] = holder.pop(key)
        elif how == 1:
            del holder[key]
        elif how == 2 and type(holder[key]) in (int, float):
            holder[key] = choose.choice(HOSTILE_NUMBERS)
        elif how == 3 and isinstance(holder[key], list):
            holder[key] = holder[key] * choose.choice([0, 2, 1_000])
        else:
            holder[key] = hostile(choose)
    return value


def as_bytes(choose, value):
    """JSON as bytes; of some mutants the text is changed, too."""
    text = json.dumps(value)
    how = choose.randrange(12)
    if how == 0 and text.startswith("{") and len(text) > 2:
        text = text[:-1] + ", " + text[1:]  # every key twice
    elif how == 1:
        text = text.replace(
            choose.choice(string.digits), choose.choice(["1e999", "NaN", "0x1", ""])
        )
    elif how == 2:
        text = "[" * choose.choice([10, 1_000, 100_000]) + text
    content = text.encode(errors="surrogatepass")
    return torn(choose, content) if choose.random() < 0.15 else content


def torn(choose, content):
    """Bytes that are cut, changed, or have others among them."""
    content = bytearray(content)
    how = choose.randrange(4)
    if how == 0:
        del content[choose.randrange(len(content) + 1) :]
    elif how == 1:
        at = choose.randrange(len(content) + 1)
        content[at:at] = choose.randbytes(choose.choice([1, 4, 100]))
    else:
        near = min(len(content), choose.choice([16, 200, 4_000, 10**9])) or 1
        for _ in range(choose.choice([1, 2, 8])):
            if content:
                content[choose.randrange(near)] = choose.randrange(256)
    return bytes(content)


# === Kinds: each changes what lies in the folder it is in, and returns a verb and its arguments ===


def a_run(choose, templates):
    shutil.copytree(templates / choose.choice(OF_RUNS), "run")
    return Path("run")


def changed_json(choose, path, changing=mutated):
    path.write_bytes(as_bytes(choose, changing(choose, json.loads(path.read_text()))))


def of_run_json(choose, templates):
    run = a_run(choose, templates)
    changed_json(choose, run / "run.json")
    return choose.choice([("fit", "--resume", "run"), ("evaluate", "run", "--samples", "8")])


def of_checkpoint_json(choose, templates):
    from kgen.runs.checkpoint import _canonical, _checksum

    def forged(choose, record):
        record["content"] = mutated(choose, record["content"])
        if choose.random() < 0.8:
            record["checksum"] = _checksum(_canonical(record["content"]))
        return record

    run = a_run(choose, templates)
    for path in sorted((run / "checkpoints").iterdir())[choose.randrange(2) :]:
        changed_json(choose, path / "checkpoint.json", forged)
    if choose.random() < 0.5:
        shutil.rmtree(run / "model")
    return choose.choice([("fit", "--resume", "run"), ("fit", "--resume", "run"), SAMPLE])


SAMPLE = ("sample", "run", "-n", "2", "--seed", "0", "--out", "x.npy")


def of_model_json(choose, templates):
    shutil.copytree(templates / "models" / choose.choice(MODELS), "model")

    def other_arguments(choose, content):
        if choose.random() < 0.8:
            content["config"] = mutated(choose, content["config"])
            return content
        return mutated(choose, content)

    changed_json(choose, Path("model/model.json"), other_arguments)
    return ("load", "model")


def of_arrays(choose, templates):
    shutil.copytree(templates / "models" / choose.choice(MODELS), "model")
    path = Path("model/variables.safetensors")
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    how = choose.randrange(4)
    if how == 0:
        path.write_bytes(torn(choose, content))
    elif how == 1:
        os.truncate(path, choose.choice([0, 7, 8, length, 10**6, 5 * 10**9]))
    else:
        header = as_bytes(choose, mutated(choose, json.loads(content[8 : 8 + length])))
        said = len(header) if choose.random() < 0.9 else choose.choice([0, 2**31, 2**63, 2**64 - 1])
        path.write_bytes(struct.pack("<Q", said) + header + content[8 + length :])
    return ("load", "model")


NAMES = ("a", "b c", "2", "10", "\u00e9", "train", "test", "val", "x" * 200, "\x1b[2J", ".hidden")


def of_images(choose, templates):
    """A folder of some images, some of them damaged, under some names."""
    from PIL import Image

    folder = Path("images")
    folder.mkdir()
    nested = choose.choice([[""], [""], ["a", "b"], ["train", "test"], NAMES])
    kind = choose.choice(["RGB", "L"])
    for number in range(choose.choice([0, 1, 2, 6, 12])):
        inside = folder / choose.choice(nested)
        inside.mkdir(exist_ok=True)
        suffix = choose.choice(["png", "png", "jpg", "gif", "bmp", "tif", "webp", "jp2", "ppm"])
        mode = kind if choose.random() < 0.9 else choose.choice(["RGBA", "LA", "P", "I;16", "1"])
        size = (8, 8) if choose.random() < 0.9 else (choose.randint(1, 40), choose.randint(1, 40))
        path = inside / f"{number}.{suffix}"
        with contextlib.suppress(OSError):  # not every mode goes into every format
            Image.new(mode, size, choose.randrange(256)).save(path)
        if path.exists() and choose.random() < 0.15:
            path.write_bytes(torn(choose, path.read_bytes()))
    unusual(choose, folder)
    options = choose.choice([{}, {"size": 4}, {"size": 4, "mode": "rgb"}, {"mode": "gray"}])
    return ("data", "images", json.dumps({**options, "max_memory": 1.0}))


def unusual(choose, folder):
    """Something beside the images that nobody expects, in a third of the mutants."""
    name = folder / f"{choose.choice(NAMES)}.png"
    how = choose.randrange(24)
    if how < 4:  # in the place of an image, if there is one
        name.unlink(missing_ok=True)
    if how == 0:
        os.mkfifo(name)
    elif how == 1:
        name.symlink_to(folder.resolve())
    elif how == 2:
        name.symlink_to("nowhere")
    elif how == 3:
        name.mkdir()
    elif how == 4:
        name.write_bytes(png_of(*choose.choice([(20_000, 20_000), (2**31 - 1, 1), (0, 5), (9, 9)])))
    elif how == 5:
        (folder / "loop").symlink_to(folder.resolve())
    elif how == 6:
        os.close(os.open(os.fsencode(folder) + b"/\xff\xfe.png", os.O_CREAT))


def png_of(width, height):
    """A PNG that says its sides and holds one row."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(3 * min(width, 10**6) + 1)))
    return b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b"")


def an_array(choose, images):
    """Images or labels, or what stands in their place."""
    shape = (12, 8, 8, 1) if images else (12,)
    if choose.random() < 0.3:
        shape = choose.choice(
            [
                (),
                (0,),
                (12,),
                (11,),
                (12, 8, 8),
                (12, 8, 8, 3),
                (12, 0, 8, 1),
                (2, 2, 2, 2, 2),
                (1,),
            ]
        )
    dtype = "uint8" if images else "int64"
    if choose.random() < 0.3:
        dtype = choose.choice(
            ["bool", "int8", "float64", "float16", "U3", "S3", "O", "complex64", "M8[s]", "i4,f8"]
        )
    values = np.zeros(shape, dtype)
    if values.size and values.dtype.kind in "uif":
        values.flat[0] = choose.choice([1, 7, -1 if values.dtype.kind != "u" else 255, 100])
    if values.size and values.dtype.kind == "f":
        values.flat[-1] = choose.choice([0.5, np.nan, np.inf])
    return values if choose.random() < 0.9 else np.asfortranarray(values)


KEYS = (
    *("images", "images", "images labels", "x_train", "x_train y_train x_test y_test"),
    *("labels", "x_test", "", "Images", "images x_train y_test"),
)


def of_npz(choose, templates):
    keys = choose.choice(KEYS).split()
    arrays = {key: an_array(choose, key.lower()[0] in "ix") for key in keys}
    path = Path(choose.choice(["x.npz", "x.npz", "x.npy", "x", "x.png", "x.h5"]))
    content = io.BytesIO()
    if path.suffix == ".npy" or choose.random() < 0.1:
        np.save(content, an_array(choose, True))
    else:
        save = choose.choice([np.savez, np.savez_compressed])
        save(content, **arrays)
        if choose.random() < 0.3:
            extra_member(choose, content)
    data = content.getvalue()
    if choose.random() < 0.2:
        old = f"({choose.choice([12, 8])}, ".encode()
        data = data.replace(
            old, choose.choice([b"(10**9, ", b"(99, ", b"(-1, ", b"(9_9, "])[: len(old)]
        )
    path.write_bytes(torn(choose, data) if choose.random() < 0.3 else data)
    options = choose.choice([{}, {}, {"size": 4}, {"mode": "gray"}, {"binarize": "static"}])
    return ("data", str(path), json.dumps({**options, "max_memory": 0.5}))


def extra_member(choose, content):
    """A member of an archive that says it is large, is no array, or comes twice."""
    import warnings

    shape = choose.choice([(10**6, 100, 100), (10**12, 8, 8, 1), (-1, 8, 8, 1), (2**70,)])
    header = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    name = choose.choice(["images.npy", "labels.npy", "images", "x_train.npy", "../x.npy", "a/"])
    member = choose.choice(
        [header.getvalue(), b"no array", b"", b"\x93NUMPY\x09\x00", b"\x93NUMPY"]
    )
    with warnings.catch_warnings(), zipfile.ZipFile(content, "a") as archive:
        warnings.simplefilter("ignore")  # of a name that comes twice
        archive.writestr(name, member)


# What an argument of each kind may be replaced by; nothing that leads out of the folder, trains for
# long, or asks for a download.
SETTINGS = (
    "latent_size",
    "hidden",
    "base_channels",
    "architecture",
    "beta",
    "levels",
    "image_shape",
)
SETTINGS += ("features", "blocks", "scales", "depth", "samples", "classes", "ema", "critic_steps")
SETTINGS += ("generator_units", "r1_weight", "name", "dtype", "nothing", "dequantization")
VALUES = ("-1", "0", "1", "2", "3", "65536", "65537", "10**9", "1000000000", "1e9", "0.5", "nan")
VALUES += (
    "inf",
    "-inf",
    "()",
    "(0,)",
    "(4,4)",
    "(4,",
    "None",
    "True",
    "conv",
    "x",
    "",
    "'",
    "[[]]",
)
VALUES += (
    "9" * 5_000,
    "{}",
    "__import__('os')",
    "\x1b[31m",
    "\ud800",
    "x" * 5_000,
    "1" + "0" * 400,
)
ALL_MODELS = ("vae", "cvae", "gan", "dcgan", "wgan_gp", "pixelcnn", "gated_pixelcnn", "glow")
ALL_MODELS += ("realnvp", "iwae", "autoencoder", "", "Vae", "os:system", "x" * 300, ":", "a:b:c")
PLACES = ("digits", "nowhere", "", ".", "x" * 5_000, "/dev/null", "/dev/zero", "/etc/passwd")
PLACES += ("nul\0byte", "~nobody/x", "run", "run/run.json", "\x1b[31m", "\ud800", "Digits")
NUMBERED = ("--batch-size", "--seed", "--limit", "--size", "--learning-rate", "--checkpoint-every")
NUMBERED += ("--evaluate-every", "--max-memory", "-n", "--samples", "--bound-samples")
COUNTS = ("1", "3", "-1", "0", "10**9", "1000000000", "1e9", "x", "", "9" * 5_000)
EPOCHS = ("-1", "0", "1", "2", "x", "1.5", "", "10**9")


def of_arguments(choose, templates):
    shutil.copytree(templates / "vae", "run")
    verb = choose.choice(["fit", "fit", "fit", "resume", "sample", "evaluate"])
    given = {
        "fit": ["--epochs", choose.choice(EPOCHS) if choose.random() < 0.2 else "1"],
        "resume": ["--resume", choose.choice(["run", "run", "run/model", "nowhere", "", "."])],
        "sample": ["run", "-n", choose.choice(COUNTS)],
        "evaluate": ["run", "--samples", choose.choice(["2", *VALUES])],
    }[verb]
    if verb == "fit":
        given += ["--limit", "64", "--batch-size", "32", "--out", "out"]
        model = choose.choice(ALL_MODELS)
        pairs = [
            f"{choose.choice(SETTINGS)}={choose.choice(VALUES)}"
            for _ in range(choose.choice([0, 1, 1, 2]))
        ]
        given += ["--model", model, "--set", *pairs] if choose.random() < 0.8 else []
    for _ in range(choose.choice([0, 0, 1, 2])):
        given += choose.choice(
            [
                [choose.choice(NUMBERED), choose.choice(VALUES)],
                ["--data", choose.choice(PLACES)],
                [
                    "--out",
                    choose.choice(["x", "run", "x.png", "x.npy", "nul\0byte", "y" * 300, ""]),
                ],
                [choose.choice(["--grayscale", "--list", "--help", "--nothing", "--", "x", ""])],
                ["--color", choose.choice(["rgb", "gray", "blue"])],
                ["--json", choose.choice(["x.json", "run", "no/where/x.json"])],
            ]
        )
    return ("fit" if verb == "resume" else verb, *given)


KINDS = {
    "run.json": of_run_json,
    "model.json": of_model_json,
    "checkpoint.json": of_checkpoint_json,
    "arrays": of_arrays,
    "images": of_images,
    "npz": of_npz,
    "arguments": of_arguments,
}


# === In the worker ===


def make_templates(folder):
    """Runs that ended with their last checkpoint but not with a model, and models of many kinds."""

    import kgen
    from kgen import fit

    digits = kgen.data.load("digits")
    small = ["--limit", "64", "--batch-size", "32", "--epochs", "2"]
    settings = {
        "vae": ["hidden=(4,)", "latent_size=2"],
        "gan": ["latent_size=2", "generator_units=(4,)", "discriminator_units=(4,)", "ema=0.9"],
    }
    for name in OF_RUNS:
        shaped = ["--model", name, *small, "--set", *settings[name], "--out", str(folder / name)]
        fit.main(shaped)
        record = json.loads((folder / name / "run.json").read_text())
        record["status"] = "running"  # resumed, it has nothing to train and all to read
        (folder / name / "run.json").write_text(json.dumps(record))
    for name in MODELS:
        small = kgen.models.get(name).small_arguments
        model = kgen.models.create(name, digits, **{"levels": 17, **small})
        kgen.save(model, folder / "models" / name)


def verbs():
    """{name: main}; two that only read what the verbs read first."""
    import kgen
    from kgen import evaluate, fit, sample

    def load_data(arguments):
        path, options = arguments
        kgen.data.load(path, **json.loads(options))

    return {
        "fit": fit.main,
        "sample": sample.main,
        "evaluate": evaluate.main,
        "load": lambda arguments: kgen.load(*arguments) and None,
        "data": load_data,
    }


def trained_nothing(model, *_, callbacks=(), **__):
    """In place of `fit`: callbacks get to know the model."""
    for callback in callbacks:
        callback.set_model(model)


@contextlib.contextmanager
def without_training(choose):
    """`fit` trains nothing, and `evaluate` ends when it has read everything; mostly."""
    from unittest import mock

    import kgen.evaluation
    from kgen.training import GenerativeModel

    if choose.random() < TRAINED:
        yield
        return
    with (
        mock.patch.object(GenerativeModel, "fit", trained_nothing),
        mock.patch.object(kgen.evaluation, "evaluate", side_effect=SystemExit(0)),
    ):
        yield


def outcome_of(kind, seed, templates):
    """{"status", "errors", "traceback", "verb"}: what came of one mutant, in this process."""
    from kgen import cli

    choose = random.Random(f"{kind}-{seed}")
    found = {"status": None, "traceback": "", "verb": ""}
    before, streams = os.getcwd(), (sys.stdout, sys.stderr)
    with tempfile.TemporaryDirectory() as outer:
        work = Path(outer, "a", "work")
        work.mkdir(parents=True)
        os.chdir(work)
        verb, *arguments = KINDS[kind](choose, templates)
        found["verb"] = verb
        try:
            with (
                open(Path(outer, "out"), "w") as out,
                open(Path(outer, "err"), "w", **AS_USUAL) as err,
            ):
                sys.stdout, sys.stderr = out, err
                with without_training(choose):
                    cli.run(verbs()[verb], arguments)
        except SystemExit as end:
            found["status"] = end.code or 0
        except BaseException:
            found["traceback"] = traceback.format_exc()
        finally:
            sys.stdout, sys.stderr = streams
            os.chdir(before)
        lines = Path(outer, "err").read_text(errors="replace").split("\n")
        found["errors"] = "\n".join(line[: 2 * LONGEST_LINE] for line in lines[-50:])
    return found


def limit_memory():
    """No more than `MEMORY` beside what this process holds: more is a MemoryError."""
    import resource

    with open("/proc/self/status") as status:
        held = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + MEMORY, resource.RLIM_INFINITY))


def serve(templates):
    """Answers each line "KIND SEED" by one of JSON; what else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if not templates.exists():
        unfinished = templates.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        make_templates(unfinished)
        unfinished.rename(templates)
    import matplotlib.pyplot  # noqa: F401  # before the limit

    limit_memory()
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        kind, seed = line.split()
        print(json.dumps(outcome_of(kind, int(seed), templates)), file=answers, flush=True)


# === In the tests ===


def wrong(found):
    """What is wrong with an outcome, in a few words; None for success or one clean line."""
    if found["traceback"]:
        return found["traceback"].strip().splitlines()[-1][:200]
    if found["status"] == 0:
        return None
    lines = found["errors"].rstrip("\n").split("\n")
    last = lines[-1].rpartition("\r")[2]
    non_finite = found["status"] == 1 and "non-finite" in last
    if found["status"] != 2 and not non_finite:
        return f"exit status {found['status']}: {last[:200]!r}"
    if not last.startswith("kgen: ") or "Traceback" in found["errors"]:
        return f"no line of kgen's: {found['errors'][-200:]!r}"
    if not last.isprintable():
        return f"control characters in its line: {last[:200]!r}"
    if len(last) > LONGEST_LINE:
        return f"a line of {len(last)} letters: {last[:100]!r}"
    return None


class Worker:
    """A process that takes mutants; begun anew after one that it did not survive."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.process = None

    def start(self):
        with open(self.folder / "worker.txt", "w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, __file__, "--serve", str(self.folder / "templates")],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        if self._answer(600) is None:
            raise RuntimeError((self.folder / "worker.txt").read_text()[-3000:])

    def outcome(self, kind, seed):
        """What came of a mutant: see `outcome_of`."""
        if self.process is None:
            self.start()
        self.process.stdin.write(f"{kind} {seed}\n".encode())
        self.process.stdin.flush()
        answer = self._answer(SECONDS)
        if answer is None:
            died = self.process.poll() is not None
            self.stop()
            reason = "its process died" if died else f"more than {SECONDS:.0f} s"
            return {"status": None, "traceback": reason, "errors": "", "verb": ""}
        return json.loads(answer)

    def _answer(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return (self.process.stdout.readline() if ready else None) or None

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.process = None


def failures(worker, kind, seeds):
    """A line for every mutant that came to neither of the two ends it may come to."""
    found = ((seed, wrong(worker.outcome(kind, seed))) for seed in seeds)
    return [f"{kind} {seed}: {reason}" for seed, reason in found if reason]


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(Path(sys.argv[2]))
    else:
        place = Path(tempfile.gettempdir()) / f"mutants-{os.environ.get('KERAS_BACKEND')}"
        place.mkdir(exist_ok=True)
        worker = Worker(place)
        for seed in range(int(sys.argv[2]), int((sys.argv[3:] or [int(sys.argv[2]) + 1])[0])):
            found = worker.outcome(sys.argv[1], seed)
            print(sys.argv[1], seed, wrong(found), json.dumps(found, indent=1))
        worker.stop()
