"""What a model is given: items of one space, of several, or nothing."""

from kgen.errors import KgenError


def parts_of(space):
    """The spaces that a condition consists of, by name and in order: {} for None."""
    if space is None:
        return {}
    return space if isinstance(space, dict) else {"condition": space}


def in_words(space):
    """What a condition is, as messages call it: "labels", "a dict of red, size"."""
    return f"a dict of {', '.join(space)}" if isinstance(space, dict) else space.what


def check_condition(space, values, count):
    """A condition as an array of its space, or as a dict of arrays.

    Args:
        space: a `Space`, or a dict of several.
        values: an array, or a dict of arrays of the same names.
        count: rows that each must have.

    Raises:
        KgenError: for missing, superfluous or wrong values.
    """
    if isinstance(space, dict):
        check_names(space, values)
        return {name: part.check(values[name], count) for name, part in space.items()}
    if values is None:
        raise KgenError(space.missing())
    return space.check(values, count)


def check_names(space, values):
    """Raise KgenError unless `values` is a dict of the names of `space`."""
    if not isinstance(values, dict) or set(values) != set(space):
        received = sorted(values) if isinstance(values, dict) else type(values).__name__
        raise KgenError(
            f"Expected a condition of {', '.join(space)}, received {received}: pass a dict of "
            "these."
        )


def default_condition(space, count):
    """What `count` samples are given when nobody says, as the spaces choose it.

    Raises:
        KgenError: if one of them cannot.
    """
    if isinstance(space, dict):
        return {name: part.defaults(count) for name, part in space.items()}
    return space.defaults(count)


def rows_of(values, rows):
    """Some rows of an array, of every array of a dict (also a nested one), or None of None."""
    if isinstance(values, dict):
        return {name: rows_of(part, rows) for name, part in values.items()}
    return None if values is None else values[rows]


def count_of(values):
    """Rows of an array, or of the first array of a dict; one of a text."""
    if isinstance(values, dict):
        return count_of(next(iter(values.values())))
    if isinstance(values, str):
        return 1
    try:
        return len(values)
    except TypeError as error:
        raise KgenError(
            f"Expected a condition with a row for each item, received {values!r}: pass a list, "
            f"[{values!r}]."
        ) from error
