"""The benchmark harness: every model on every backend, timed, judged, compared with native code.

    python -m benchmarks --models vae dcgan --backends jax torch --data mnist --budget quick
    python -m benchmarks.report benchmarks/results/*.jsonl --html report.html
    python -m benchmarks.compare before.jsonl after.jsonl

One cell is one model on one backend, device and data set; it runs in a process of its own
(`speed/test_speed.py`, by pytest-benchmark) and becomes one line of
`benchmarks/results/<machine>.jsonl`. The report is made of these lines alone.
"""
