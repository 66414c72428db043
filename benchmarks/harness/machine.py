"""What the figures of a machine depend on."""

import hashlib
import os
import platform
import re
import subprocess
from pathlib import Path

UNKNOWN = "unknown"  # the id of a machine that was described before there were ids
# {field: type} of a description.
FIELDS = {
    "processor": str,
    "processors": int,
    "memory_gib": int,
    "system": str,
    "accelerators": list,
    "id": str,
}


def description():
    """Processor, number of processors, memory, system and GPUs of this machine, and its `id`.

    The id tells machines of one kind apart, and tells nobody which machine it is.
    """
    return {
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        # In whole GiB: an update of the kernel moves the bytes.
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "accelerators": _accelerators(),
        "id": _id(),
    }


def words(machine):
    """A description in one line."""
    parts = [machine["processor"], f"{machine['processors']} processors"]
    parts += [f"{machine['memory_gib']} GiB", machine["system"], *machine["accelerators"]]
    return ", ".join([*parts, f"id {machine['id']}"])


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


def _accelerators():
    """Names of the GPUs that NVIDIA's driver knows of."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [] if result.returncode else [line.strip() for line in result.stdout.splitlines()]


def _id():
    """Eight digits, a hash: of the system's own identifier, or else of the host's name."""
    try:
        name = Path("/etc/machine-id").read_text().strip()
    except OSError:
        name = ""
    return hashlib.sha256(f"kgen benchmarks {name or platform.node()}".encode()).hexdigest()[:8]
