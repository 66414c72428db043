"""Load the models of runs, for `kgen.sample` and `kgen.evaluate`."""

from kgen.errors import KgenError
from kgen.runs.folder import trained_model


def load_models(folders, own):
    """{folder: model} of runs.

    Args:
        folders: run folders.
        own: the user's own model classes, "module:Class".

    Raises:
        KgenError: for a class that is no model, or that none of the runs uses.
    """
    import kgen

    for place in own:
        if not kgen.models.is_own(place):
            raise KgenError(
                f"Expected --model to name a class of your own, module:Class, received {place!r}: "
                "leave it out, a run knows which model of kgen it is."
            )
        kgen.models.import_own(place)
    loaded = {}
    for folder in folders:
        path, described = trained_model(folder)
        loaded[folder] = kgen.load(path)
        print(described)
    for place in own:
        if not any(type(model) is kgen.models.get(place) for model in loaded.values()):
            raise KgenError(
                f"Expected a run of {place}, received {', '.join(map(str, folders))}, of other "
                "models: leave --model out."
            )
    return loaded
