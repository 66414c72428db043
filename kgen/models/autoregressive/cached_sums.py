"""Cached sampling of networks of masked dense layers: each weight is used once for an image."""

import numpy as np
from keras import ops


class CachedSums:
    """The sums of weighted inputs of every unit of a `MADE`, while its values are drawn.

    A value drawn is added to the sums of the first layer. The units that see no further value are
    then final and are added to the sums of the next layer. This needs no mask: the sum of a unit is
    read only once, when it holds what the unit sees and no more.

    A cache is a list of the sums of each layer, the last of which are the outputs, as tensors
    (orders, images of an order, units).

    Args:
        model: a `MADE`.
        orders: int32 (orders, size), the values in the order of drawing; one order for all images,
            or one for each image.
        mask_numbers: int32 (orders,), the masks from which hidden units have their degrees.

    Attributes:
        places: what `parameters` and `update` need to know of each value, in its order.
    """

    def __init__(self, model, orders, mask_numbers):
        self.model, self.orders = model, orders.shape[0]
        self.kernels = [layer.kernel for layer in model.dense_layers]
        shape = (model.size, model.inputs_per_value, -1)
        self.input_kernels = [(0, ops.reshape(self.kernels[0], shape))]
        if model.direct:
            last = len(self.kernels) - 1
            self.input_kernels.append((last, ops.reshape(model.direct_layer.kernel, shape)))
        tables = [units_by_degree(d, model.size) for d in model.hidden_degrees]
        units = [
            tuple(ops.take(table, mask_numbers, axis=1) for table in tables_of_layer)
            for tables_of_layer in tables
        ]
        self.first_units = [tuple(part[0] for part in layer) for layer in units]
        self.places = (
            ops.transpose(orders),
            [tuple(part[1:] for part in layer) for layer in units],
        )

    def start(self, count):
        """The cache of `count` images before the first value."""
        zeros = ops.zeros((self.orders, count // self.orders, 1))
        sums = [zeros + layer.bias for layer in self.model.dense_layers]
        return self._with_units(sums, self.first_units)

    def parameters(self, sums, place):
        """The parameters (n, parameters_per_value) of the next value."""
        number, _ = place
        images, size = sums[-1].shape[1], self.model.parameters_per_value
        outputs = ops.reshape(sums[-1], (self.orders, images, self.model.size, size))
        number = ops.broadcast_to(number[:, None, None, None], (self.orders, images, 1, size))
        return ops.reshape(ops.take_along_axis(outputs, number, axis=2), (-1, size))

    def update(self, sums, place, inputs):
        """The cache after a value with these inputs (n, inputs_per_value)."""
        number, units = place
        inputs = ops.reshape(inputs, (self.orders, -1, self.model.inputs_per_value))
        sums = list(sums)
        for layer, kernel in self.input_kernels:
            sums[layer] = sums[layer] + ops.matmul(inputs, ops.take(kernel, number, axis=0))
        return self._with_units(sums, units)

    def _with_units(self, sums, units):
        """The sums, with the final units of each layer added to the next layer's.

        Args:
            units: of each hidden layer, numbers (orders, most) and whether they count.
        """
        sums = list(sums)
        for layer, (numbers, count) in enumerate(units):
            shape = (*sums[layer].shape[:2], numbers.shape[1])
            chosen = ops.broadcast_to(numbers[:, None], shape)
            hidden = ops.relu(ops.take_along_axis(sums[layer], chosen, axis=-1)) * count[:, None]
            rows = ops.take(self.kernels[layer + 1], numbers, axis=0)  # (orders, most, units)
            sums[layer + 1] = sums[layer + 1] + ops.matmul(hidden, rows)
        return sums


def units_by_degree(degrees, size):
    """The units of each degree, two arrays (size + 1, masks, most).

    Args:
        degrees: whole numbers 0..size, (masks, units).
        size: the largest degree.

    Returns:
        int32 numbers of units, filled up with zeros, and float32 1 for a unit and 0 for a filling.
    """
    masks, units = degrees.shape
    counts = np.stack([np.bincount(row, minlength=size + 1) for row in degrees])  # (masks, size+1)
    numbers = np.zeros((masks, size + 1, max(1, counts.max())), "int32")
    for row, order in enumerate(np.argsort(degrees, axis=1, kind="stable")):
        first = np.cumsum(counts[row]) - counts[row]
        sorted_degrees = degrees[row, order]
        numbers[row, sorted_degrees, np.arange(units) - first[sorted_degrees]] = order
    filled = np.arange(numbers.shape[-1]) < counts[..., None]
    return numbers.transpose(1, 0, 2), filled.transpose(1, 0, 2).astype("float32")
