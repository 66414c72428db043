"""The restricted Boltzmann machine of scikit-learn: 500 hidden units, persistent chains.

In float64, to which it turns images of whole numbers; in float32 its step takes half the time.
"""

import math

PACKAGE = "sklearn"
MODEL, LEVELS, SETTINGS = "rbm", 2, {"hidden_units": 500, "persistent": True, "chains": 64}


def stepping(images):
    from sklearn.neural_network import BernoulliRBM

    rows = images.reshape(len(images), -1).astype("float64")
    rbm = BernoulliRBM(n_components=500, learning_rate=0.01, batch_size=len(rows), random_state=0)

    def run(steps):
        for _ in range(steps):
            rbm.partial_fit(rows)

    pixels = math.prod(images.shape[1:])
    return run, (pixels + 1) * (500 + 1) - 1
