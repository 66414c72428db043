"""Energy-based models: a density that is known up to its normalising constant."""

import kgen.chosen_backend  # noqa: F401  # before Keras
