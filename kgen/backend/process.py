"""Peak memory of this process, the same for all three adapters."""

import re
import resource
import sys
from pathlib import Path


def process_peak_memory():
    """Peak main memory of this process in bytes.

    On systems other than Linux it may include the peak of the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, getrusage's peak survives exec: a child starts at its parent's
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, others KiB
