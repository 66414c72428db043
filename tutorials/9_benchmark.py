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

sys.path.insert(0, str(Path(kgen.__file__).resolve().parents[1]))  # the checkout

from benchmarks import compare, report
from benchmarks.harness import machine, results, runner
from benchmarks.harness.cases import BUDGETS, Case
from benchmarks.harness.provenance import provenance
from benchmarks.harness.ratios import paired_ratio

FULL = os.environ.get("KGEN_TUTORIAL_BUDGET") != "test"  # kgen's tests run this page in seconds
BACKEND = os.environ["KERAS_BACKEND"]

# %% [markdown]
# ## One case
#
# A case is a model on a backend, a device and a data set, under a budget. Each is measured in a
# process of its own: what one leaves behind (memory, threads, compiled programs) would be in the
# numbers of the next. The machine should have nothing else to do: what other processes take of it
# is measured, and too much is warned of. Kept with the case is where its numbers come from: the
# commit (and a hash of sources that differ from it), versions, machine.

# %%
case = Case("vae", BACKEND, data="mnist" if FULL else "digits", budget="quick" if FULL else "test")
print(case, case.hash)
print(BUDGETS[case.budget])
record = runner.run(case, provenance(BACKEND))
print(record["status"], "after", record["seconds"], "seconds", record.get("reason", ""))
found = record["results"]
print(record["commit"], record["versions"])
print(machine.words(record["machine"]))
print("other processes took of the processors:", record["load"])

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
# one, a round of the other, so that a mood of the machine meets both, and cancels within a round.
# With the seconds $k_i$ of kgen's round $i$ and $n_i$ of the native one, the ratio of their
# throughputs is
#
# $$ r = \operatorname{median}\left(\frac{n_1}{k_1}, \ldots, \frac{n_m}{k_m}\right) $$
#
# above 1 where kgen is faster. Is 1.1 faster? Draw $m$ rounds with replacement, many times: the
# ratios of these fill an interval (bootstrap). If 1 lies inside it, they show no difference.

# %%
for form, seconds in found["native"].items():
    ratio, low, high = paired_ratio(seconds["native"], seconds["kgen"])
    assert np.isclose(ratio, np.median(np.divide(seconds["native"], seconds["kgen"])))
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
# ## One line a case
#
# A record is a line of JSON that holds every time that was taken, what was measured, and on what:
# versions, commit, machine, threads, load before and meanwhile. It is checked when it is written
# and when it is read. The report knows nothing else; rows of another commit, version or machine are
# marked in it.

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
# Measure before and after (`--out before.jsonl`, `--out after.jsonl`), and compare case by case.
# Here the same case is measured again: nothing has changed, so whatever differs is the machine's
# mood between two runs. They were not made by turns, so there are no pairs: the ratio is that of
# the medians, and each side is resampled on its own. That is why a change counts only from 5 % on,
# and with an interval that excludes 1; `compare` ends with status 1 if any is slower, for use in
# scripts. It names the two commits, and warns where versions or machines differ.

# %%
again = Path("again.jsonl")
results.append(again, runner.run(case, provenance(BACKEND)) if FULL else record)
status = compare.main([str(file), str(again)])
print("exit status", status)

# %% [markdown]
# All models and backends, interrupted and continued as you like:
#
# ```
# python -m benchmarks --budget quick
# python -m benchmarks.report --html report.html
# ```
#
# Both use one file in your data folder, whose place they print. A case counts as measured for one
# commit, one set of versions and one machine: with another of these it is measured again, beside
# the old line. Twelve cases of one machine are committed in `benchmarks/results/`. Times of two
# machines do not compare; ratios measured by turns on one of them do, with care.
