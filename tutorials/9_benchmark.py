# %% [markdown]
# # Benchmarking your machine
#
# How many images a second does a model train on here? What does the first step cost, and what does
# kgen cost beside code written by hand? You will measure one model on one backend, look at every
# number behind the medians, and read the report that others can cite. It takes three to five
# minutes.
#
# The harness is `benchmarks/`, beside `kgen/` in a checkout; on the command line it is
# `python -m benchmarks`, `python -m benchmarks.report` and `python -m benchmarks.compare`.

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # or tensorflow, or torch

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import kgen

sys.path.insert(0, str(Path(kgen.__file__).parents[1]))  # the checkout

from benchmarks import compare, machine, report, results, runner
from benchmarks.cells import BUDGETS, Cell

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
BACKEND = os.environ["KERAS_BACKEND"]

# %% [markdown]
# ## One cell
#
# A cell is a model on a backend, a device and a data set, under a budget. Each is measured in a
# process of its own: what one leaves behind (memory, threads, compiled programs) would be in the
# numbers of the next. The machine should have nothing else to do.

# %%
cell = Cell("vae", BACKEND, data="mnist" if FULL else "digits", budget="quick" if FULL else "test")
print(cell, cell.hash)
print(BUDGETS[cell.budget])
record = runner.run(cell, machine.description())
print(record["status"], "after", record["seconds"], "seconds", record.get("reason", ""))
found = record["results"]
print(machine.short_name(record["machine"]))

# %% [markdown]
# ## Training: rounds, not a time
#
# A single time says little: a machine has moods. A round is so many steps that they take half a
# second, all of one `fit`, which rests between two rounds: what it does once, before its first
# step, is none of a step's time. It ends when the device has computed them, not when they are
# queued: asynchronous backends return long before. The median over rounds is reported, with its
# quartiles.

# %%
training = found["training"]
steps = np.array(training["seconds"]) / training["steps"]
images = training["images_per_step"] / np.median(steps)
print(f"{training['steps']} steps a round; ms/step of each: {np.round(1000 * steps, 2)}")
print(f"{images:,.0f} images a second")

# %% [markdown]
# ## Beside code written by hand
#
# For `vae`, `dcgan`, `pixelcnn` and `glow` there is native code of the same network, optimizer and
# batches (`benchmarks/native/`), which computes the same losses. The two train by turns, a round of
# one, a round of the other, so that a mood of the machine meets both. With the seconds $k_i$ of
# kgen's rounds and $n_i$ of the native ones, the ratio of their throughputs is
#
# $$ r = \frac{\operatorname{median}(n_1, \ldots, n_m)}{\operatorname{median}(k_1, \ldots, k_m)} $$
#
# above 1 where kgen is faster. Is 1.1 faster? Draw $m$ rounds of each with replacement, many times:
# the ratios of these fill an interval (bootstrap). If 1 lies inside it, they show no difference.

# %%
for form, seconds in found["native"].items():
    ratio, low, high = compare.ratio_of_medians(seconds["native"], seconds["kgen"])
    assert np.isclose(ratio, np.median(seconds["native"]) / np.median(seconds["kgen"]))
    words = "no difference" if low <= 1 <= high else "faster" if low > 1 else "slower"
    print(f"kgen to native ({form}): {ratio:.2f} [{low:.2f}, {high:.2f}]: {words}")

# %% [markdown]
# ## Sampling: the slow ones count
#
# Whoever waits for an image waits for the slow calls, too: latency is a distribution. A percentile
# needs calls beyond it, so p99 of thirty calls is not printed.

# %%
milliseconds = {int(count): 1000 * np.array(calls) for count, calls in found["sampling"].items()}
for count, calls in milliseconds.items():
    p50, p95 = np.percentile(calls, [50, 95])
    rate = 1000 * count / p50
    print(f"{count:3} images a call: p50 {p50:.1f} ms, p95 {p95:.1f} ms, {rate:,.0f} images/s")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
left.boxplot(list(milliseconds.values()), tick_labels=list(milliseconds))
left.set(xlabel="images a call", ylabel="milliseconds", title="sampling")
right.barh(list(found["cold_start"]), list(found["cold_start"].values()))
right.set(xlabel="seconds", title="cold start")
figure.tight_layout()
plt.show()

# %% [markdown]
# The right half is what a newcomer waits for before anything happens: importing the framework,
# building the network, compiling and running the first step, drawing the first sample.
#
# ## One line a cell
#
# A record is a line of JSON that holds every time that was taken, what was measured, and on what:
# versions, commit, threads, load before and after. It is checked when it is written and when it is
# read. The report knows nothing else.

# %%
file = Path("results.jsonl")
results.append(file, record)
print(sorted(found))
print(found["environment"])
print(report.as_markdown(results.read(file)))

# %% [markdown]
# `python -m benchmarks.report results.jsonl --html report.html` makes a page of it, with plots and
# sample grids, that needs no network.
#
# ## Did my change make it slower?
#
# Measure before and after, and compare cell by cell. Here the same cell is measured again: nothing
# has changed, so whatever differs is the machine's mood between two runs. That is why a change
# counts only from 5 % on, and with an interval that excludes 1; `compare` ends with status 1 if any
# is slower, for use in scripts.

# %%
again = Path("again.jsonl")
results.append(again, runner.run(cell, machine.description()) if FULL else record)
status = compare.main([str(file), str(again)])
print("exit status", status)

# %% [markdown]
# All models and backends, interrupted and continued as you like:
#
# ```
# python -m benchmarks --budget quick
# python -m benchmarks.report benchmarks/results/*.jsonl --html report.html
# ```
#
# The results of two machines are committed in `benchmarks/results/`. Times of two machines do not
# compare; ratios measured by turns on one of them do, with care.
