"""What a training holds in memory: `python tests/memory.py MODEL [LEAK]` prints its growth.

`python tests/memory.py --load MODEL` prints that of loading one again and again, beside that of
making a Keras model of as many variables.

A process of its own, for what other tests leave behind would be counted, too.
"""

import gc
import json
import os
import sys
from itertools import combinations
from statistics import median

EPOCHS, STEPS = 30, 100  # of STEPS steps
WARM_UP = 10  # epochs, in which caches fill, programs are compiled and allocators take their share
BATCH_SIZE = 32


def held():
    """(resident bytes, live Python objects that can be part of a cycle) of this process."""
    gc.collect()
    with open("/proc/self/statm") as pages:
        resident = int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident, len(gc.get_objects())


def growth(points):
    """{"bytes", "objects"}: growth per step of what `held` says after every epoch.

    The median of the slopes between any two epochs after the warm-up: one step up, as when a thread
    gets a heap of its own, is no growth.
    """
    later = list(enumerate(points))[WARM_UP:]
    return {
        kind: median((b[k] - a[k]) / ((j - i) * STEPS) for (i, a), (j, b) in combinations(later, 2))
        for k, kind in enumerate(("bytes", "objects"))
    }


def points_of_training(name, leak):
    """What is held after every epoch of a tiny model, which is validated and samples.

    Args:
        name: of the model.
        leak: None, or what a callback leaks: "bytes" or "objects".
    """
    import keras
    import numpy as np

    import kgen

    points, kept = [], []

    class Probe(keras.callbacks.Callback):
        reads_batch_logs = False

        def on_train_batch_end(self, batch, logs=None):
            if leak == "bytes":
                kept.append(np.ones(256, np.uint8))
            elif leak == "objects" and batch % 20 == 0:
                kept.append([batch])

        def on_epoch_end(self, epoch, logs=None):
            self.model.sample(8, seed=epoch)
            points.append(held())

    images = np.random.default_rng(0).integers(0, 17, (STEPS * BATCH_SIZE, 8, 8, 1), np.uint8)
    model_class = kgen.models.get(name)
    model = model_class(image_shape=(8, 8, 1), levels=17, **model_class.small_arguments)
    model.compile()
    model.fit(
        images,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        verbose=0,
        validation_data=(images[:100],),
        callbacks=[Probe()],
    )
    return points


def bytes_a_call(function, calls):
    """Growth per call of a function, the warm-up left out."""
    for _ in range(WARM_UP):
        function()
    before, _ = held()
    for _ in range(calls):
        function()
    return (held()[0] - before) / calls


def growth_of_loading(name, calls=60):
    """{"load", "keras"}: bytes a call of `kgen.load`, and of a Keras model made and compiled."""
    import tempfile

    import keras

    import kgen

    model_class = kgen.models.get(name)
    model = model_class(image_shape=(8, 8, 1), levels=17, **model_class.small_arguments)
    model.compile()

    def make():
        made = keras.Sequential([keras.Input((8,)), *(keras.layers.Dense(8) for _ in range(4))])
        made.compile("adam", "mse")
        made.optimizer.build(made.trainable_variables)

    with tempfile.TemporaryDirectory() as folder:
        kgen.save(model, folder)
        loading = bytes_a_call(lambda: kgen.load(folder), calls)
    return {"load": loading, "keras": bytes_a_call(make, calls)}


if __name__ == "__main__":
    if sys.argv[1] == "--load":
        print(json.dumps(growth_of_loading(sys.argv[2])))
        sys.exit()
    name, leak = (*sys.argv[1:], None)[:2]
    points = points_of_training(name, leak)
    print(points, file=sys.stderr)
    print(json.dumps(growth(points)))
