"""What a case's figures depend on beside the case: sources, versions, machine."""

import hashlib
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

import kgen
from benchmarks.harness import machine
from benchmarks.harness.environments import environment_of
from kgen.huge_pages import are_used

ROOT = Path(__file__).parent.parent.parent


def provenance(backend, device="auto"):
    """`commit`, `versions`, `machine` and `huge_pages` of a case that would be measured now."""
    versions = {
        "kgen": kgen.__version__,
        "python": platform.python_version(),
        **{package: version(package) for package in ("keras", "numpy", backend)},
    }
    return {
        "commit": commit(),
        "versions": versions,
        "machine": machine.description(),
        "huge_pages": are_used(environment_of(backend, device)),
    }


def commit(root=ROOT):
    """The git commit of a checkout, followed by a hash of its sources if these differ from it.

    "<commit>", "<commit>-dirty-<hash>", or "unknown-<hash>" outside git. Sources are the Python
    files of kgen and of the benchmarks, whether git knows them or not; other files do not count.
    """
    head = _git(root, "rev-parse", "HEAD")
    if head is None:
        return f"unknown-{hash_of_sources(root)}"
    changed = _git(root, "status", "--porcelain", "--untracked-files=all", "--", *PATTERNS)
    return head.strip() + (f"-dirty-{hash_of_sources(root)}" if changed else "")


PATTERNS = ("kgen/*.py", "benchmarks/*.py")  # as git reads them: in sub-folders, too


def short(commit):
    """A commit for tables: twelve digits, and the hash of sources that differ."""
    return re.sub("^[0-9a-f]{40}", lambda found: found[0][:12], commit)


def version(package):
    """The version of the distribution that provides a package (`tensorflow` has several)."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        providers = metadata.packages_distributions().get(package)
        return metadata.version(providers[0]) if providers else "not installed"


def hash_of_sources(root=ROOT):
    """Eight digits that name the Python files of kgen and of the benchmarks, as they are now."""
    found = hashlib.sha256()
    for folder in ("kgen", "benchmarks"):
        for path in sorted(Path(root, folder).rglob("*.py")):
            found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:8]


def _git(root, *arguments):
    """What git prints, or None outside git."""
    try:
        result = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    except OSError:
        return None
    return None if result.returncode else result.stdout
