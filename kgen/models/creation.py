"""The arguments of a model that follow from the data it is made for."""

from kgen.description.parameters import constructor_parameters
from kgen.errors import KgenError
from kgen.spaces import parts_of

# What a model takes, by the arguments of its constructor.
ITEMS = {"image_shape": "images", "size": "vectors"}
CONDITIONS = {
    "classes": "labels",
    "attributes": "attributes",
    "words": "texts",
    "source_shape": "source images",
    "condition_size": "vectors",
}


def arguments_of(model_class, data):
    """The constructor's arguments that follow from `data`: of its space and its condition space.

    Raises:
        KgenError: if the model cannot take such items or such conditions.
    """
    known = constructor_parameters(model_class)
    found = data.space.arguments()
    items = [kind for name, kind in ITEMS.items() if name in known] or ["texts"]
    if data.space.what not in items or not set(found) <= set(known):
        raise KgenError(
            f"Expected {' or '.join(items)} for {model_class.__name__}, received "
            f"{data.space.what} in {data.name}: choose another model or other data."
        )
    if not model_class.conditional:
        return found
    for space in parts_of(data.condition_space).values():
        given = space.condition_arguments()
        if not set(given) <= set(known) - set(found):
            taken = " or ".join(kind for name, kind in CONDITIONS.items() if name in known)
            raise KgenError(
                f"Expected {taken or 'nothing of the data'} as what {model_class.__name__} is "
                f"given, received {space.what} in {data.name}: choose another model, or another "
                "form of the data (NAME:labels, NAME:edges)."
            )
        found |= given
    if "classes" in known:
        found.setdefault("classes", 0)
    return found
