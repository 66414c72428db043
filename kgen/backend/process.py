"""What the three adapters measure in the same way."""

import re
import resource
import sys
from pathlib import Path


def process_peak_memory():
    """Most bytes of main memory this process has held so far.

    Elsewhere than on Linux, the peak of the process that started this one may be part of it.
    """
    status = Path("/proc/self/status")
    if status.exists():  # getrusage's peak outlives exec there: a child's begins at its parent's
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, others KiB
