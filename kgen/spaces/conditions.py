"""What a model is given: items of one space, of several, or nothing."""

from kgen.errors import KgenError


def parts_of(space):
    """The spaces that a condition consists of, by name: {} for None."""
    if space is None:
        return {}
    return space if isinstance(space, dict) else {"condition": space}


def check_condition(space, values, count=None):
    """A condition for inference, checked: None, an array, or a dict of arrays with equal rows.

    Args:
        space: a `Space`, a dict of several, or None where nothing is given.
        values: the same structure of arrays; None for what the spaces choose by themselves.
        count: rows; None where the values say it.

    Raises:
        KgenError: for missing, superfluous or wrong values.
    """
    if isinstance(space, dict):
        if values is not None and (not isinstance(values, dict) or set(values) != set(space)):
            received = sorted(values) if isinstance(values, dict) else type(values).__name__
            raise KgenError(
                f"Expected a condition {{{', '.join(space)}}}, received {received}: pass a dict of "
                "these."
            )
        parts = {}
        for name, part in space.items():
            parts[name] = check_condition(part, None if values is None else values[name], count)
            count = len(parts[name])
        return parts
    if values is None:
        return space.defaults(count)
    return space.check(values, count)
