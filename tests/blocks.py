"""Runs what a page tells its reader to run: `python tests/blocks.py PAGE [SECTION ...]`.

The blocks of the page, or of those of its sections, are run in order, in this process, as small as
they can be: lines of a shell by turns with blocks of Python, which share their names. What fails
ends it. Sets of images that have to be downloaded are the digits.
"""

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

NOT_RUN = ("pip", "tox")
SMALLER = "--limit 64 --batch-size 32 --epochs 1"
SMALL_MODELS = {"glow": "--set depth=1 base_channels=4"}
SMALL_MODELS["edm"] = "--set base_channels=8 attention=0 'multipliers=(1,)'"
SMALL_MODELS |= dict.fromkeys(("dcgan", "lsgan", "pix2pix"), "--set base_channels=8")


def blocks(text, sections=()):
    """[(language, block)] of Markdown, of those `## sections` if any; a shell's have no language.

    Raises:
        KeyError: for a section that is not there.
    """
    parts = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    texts = [parts[section] for section in sections] or [text]
    return [
        found
        for part in texts
        for found in re.findall(r"^```(\w*)\n(.*?)^```", part, re.DOTALL | re.MULTILINE)
    ]


def steps(text, sections=()):
    """[(language, step)]: a block of Python, or one line of a shell, made small."""
    for language, block in blocks(text, sections):
        if language == "python":
            yield language, smaller_block(block)
        elif language in ("", "bash"):
            for line in block.splitlines():
                yield "shell", smaller_line(line)
        else:
            raise ValueError(f"Expected blocks of Python or of a shell, received {language!r}.")


def smaller_block(block):
    block = re.sub(r"\bepochs=([3-9]|\d\d)\b", "epochs=1", without_downloads(block))
    return re.sub(r'(?<="KERAS_BACKEND", )"\w+"', repr(os.environ["KGEN_TEST_BACKEND"]), block)


def smaller_line(line):
    line = without_downloads(line.partition("#")[0]).strip()
    line = re.sub(r"^pip install \S+ && ", "", line)
    line = re.sub(r"\bKERAS_BACKEND=\w+", f"KERAS_BACKEND={os.environ['KGEN_TEST_BACKEND']}", line)
    if "--resume" in line:
        return re.sub(r"--epochs \d+", "--epochs 2", line)
    if "kgen.fit" not in line or "--list" in line:
        return line
    model = re.search(r"--model (\w+)", line)
    line = re.sub(r"--epochs \d+", "", line)
    return f"{line} {SMALLER} {SMALL_MODELS.get(model and model[1], '')}"


def without_downloads(text):
    return re.sub(r"\b(fashion_)?mnist\b", "digits", text)


def run_line(line):
    program, *arguments = shlex.split(line) or [NOT_RUN[0]]
    if program in NOT_RUN:
        return
    if program != "python":  # a variable is set: in a process of its own
        code = re.sub(r"(?<= )python ", f"{shlex.quote(sys.executable)} ", line)
        subprocess.run(code, shell=True, check=True)
        return
    if arguments[0] != "-m":
        raise ValueError(f"Expected python -m MODULE, received {line!r}.")
    sys.argv = arguments[1:]
    try:
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{line}: ended with {end.code}") from end


def run_block(block, page, names):
    """A block whose first line is `# name.py` is that file's content, to be imported."""
    file = re.match(r"# (\w+\.py)\n", block)
    if file:
        Path(file[1]).write_text(block)
    else:
        exec(compile(block, page, "exec"), names)


def main(page, *sections):
    names = {"__name__": "page"}
    for language, step in steps(Path(page).read_text(encoding="utf-8"), sections):
        print(f"=== {step.strip()}", flush=True)
        if language == "shell":
            run_line(step)
        else:
            run_block(step, page, names)


if __name__ == "__main__":
    sys.path[0] = ""  # as for somebody who has no tests
    main(*sys.argv[1:])
