"""What `python -m benchmarks` and its reports are made of."""
