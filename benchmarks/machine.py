"""What the figures of a machine depend on."""

import os
import platform
import re
from pathlib import Path


def description():
    """Processor, number of processors, memory and system of this machine."""
    return {
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
    }


def short_name(machine):
    """A file name for the results of machines of this kind, without the name of a host."""
    words = f"{machine['processor']} {machine['processors']} processors {machine['system']}"
    return re.sub("[^a-z0-9]+", "-", words.lower()).strip("-")


def _processor():
    try:
        names = re.findall(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or "unknown processor"
