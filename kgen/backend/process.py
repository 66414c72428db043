"""What the three adapters measure in the same way."""

import resource
import sys


def process_peak_memory():
    """Most bytes of main memory this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB
