"""Run long work in parts, each with its own seed, and report progress after each part."""

import numpy as np

IMAGES_PER_PART = 512


def in_parts(count, seed, function, progress=None, size=IMAGES_PER_PART):
    """`function(rows, seed)` for consecutive slices of 0..count-1, concatenated.

    Args:
        count: number of rows, from 1.
        seed: the seeds of the parts are derived from it.
        function: (slice, int) -> array with as many rows.
        progress: called with the number of rows after each part, or None.
        size: rows per part; the seeds depend on it.
    """
    outputs = []
    for start in range(0, count, size):
        rows = slice(start, min(start + size, count))
        own = int(np.random.SeedSequence([seed, start]).generate_state(1)[0])
        outputs.append(function(rows, own))
        if progress:
            progress(rows.stop - rows.start)
    return np.concatenate(outputs)
