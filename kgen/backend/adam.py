"""What Keras' Adam holds, for the frameworks whose own Adam is one operation, not a dozen."""

import keras

# Each is off, or the update is more than Adam's.
FURTHER = (
    "amsgrad",
    "clipnorm",
    "clipvalue",
    "gradient_accumulation_steps",
    "loss_scale_factor",
    "use_ema",
    "weight_decay",
)


def adam_slots(optimizer, variables):
    """The momentums and velocities of `variables`, two lists of Keras variables.

    None if the update is not that of Kingma & Ba 2014 for all that the optimizer was built with, in
    float32: another optimizer, a subclass of one's own, a constraint, a frozen layer, clipping but
    for `global_clipnorm`, which is left to the caller.
    """
    of_keras = type(optimizer).__module__.startswith("keras.")
    if not (of_keras and isinstance(optimizer, keras.optimizers.Adam)):
        return None
    if any(getattr(optimizer, option) for option in FURTHER):
        return None
    if any(v.dtype != "float32" or v.constraint is not None for v in variables):
        return None
    # Before the slots: the iterations and, unless it follows a schedule, the rate.
    first = len(optimizer.variables) - 2 * len(variables)
    if first not in (1, 2):
        return None
    slots = optimizer.variables[first:]
    return slots[0::2], slots[1::2]
