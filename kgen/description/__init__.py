"""What a model is: its constructor arguments, configuration, capabilities and variables."""

import kgen.chosen_backend  # noqa: F401  # before Keras
