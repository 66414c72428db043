"""The benchmark harness: every model on every backend, timed, judged, compared with native code.

    python -m benchmarks --models vae dcgan --backends jax torch --data mnist --budget quick
    python -m benchmarks.report --html report.html
    python -m benchmarks.compare before.jsonl after.jsonl

One case is one model on one backend, device and data set; it runs in a process of its own
(`speed/test_speed.py`, by pytest-benchmark) and becomes one line of a file: `<machine>.jsonl` among
the user's data, unless `--out` names another. A line is found again by the case, the commit, the
versions and the machine; who has another of these measures anew. The report is made of lines alone.

`results/` holds the lines of README's table, written by `--out`, and the report of them.
"""
