"""The slots of Keras' Adam, for frameworks that have a fused Adam operation."""

import keras

# Options that change Adam's update; all must be off.
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
    """The momentums and velocities of `variables`: two lists of Keras variables, or None.

    None unless this is plain Keras Adam (Kingma & Ba 2014) on float32 variables: no subclass,
    constraint or frozen variable, and no clipping except `global_clipnorm`, which the caller
    applies.
    """
    of_keras = type(optimizer).__module__.startswith("keras.")
    if not (of_keras and isinstance(optimizer, keras.optimizers.Adam)):
        return None
    if any(getattr(optimizer, option) for option in FURTHER):
        return None
    if any(v.dtype != "float32" or v.constraint is not None for v in variables):
        return None
    # The slots follow the iterations and, without a schedule, the learning rate.
    first = len(optimizer.variables) - 2 * len(variables)
    if first not in (1, 2):
        return None
    slots = optimizer.variables[first:]
    return slots[0::2], slots[1::2]
