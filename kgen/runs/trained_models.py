"""Load the models of runs, for `kgen.sample` and `kgen.evaluate`."""

import logging

from kgen.errors import KgenError
from kgen.runs.folder import trained_model

logger = logging.getLogger("kgen")


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
        path, described, stage = trained_model(folder)
        loaded[folder] = kgen.load(path)
        print(described)
        _warn_of_untrained(loaded[folder], folder, stage)
    for place in own:
        if not any(type(model) is kgen.models.get(place) for model in loaded.values()):
            raise KgenError(
                f"Expected a run of {place}, received {', '.join(map(str, folders))}, of other "
                "models: leave --model out."
            )
    return loaded


def _warn_of_untrained(model, folder, stage):
    left = [] if stage is None else [name for name, *_ in model.stages()[stage + 1 :]]
    if left:
        logger.warning(
            "kgen: %s was stopped in an earlier stage of its training: %s is not trained, and "
            "samples are noise. To continue: python -m kgen.fit --resume %s",
            *(folder, " and ".join(left), folder),
        )
