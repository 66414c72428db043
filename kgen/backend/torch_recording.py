"""PyTorch: training steps as the bare list of operations they consist of.

Around every operation Keras asks for scopes, dtypes and masks, and autograd builds its graph anew
at each step. A step does the same operations every time: `Recorded` writes them down once, those of
the gradients and of the optimizer too, and from then on runs the list. The operations and their
order stay what they were, and so do all results, bit for bit.

What is written down is a step on tensors without values (`FakeTensor`), so that a step that looks
at values, to decide or to seed a generator, raises instead of being recorded with those of today.
"""

import itertools
import warnings
import weakref

import keras
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree


class Recorded:
    """`step(batch)`, which reads and assigns `variables`, recorded once per shape of the batch.

    The first step of a shape is run as it is: it shows a mistake where it is made, and a shape that
    comes once is not worth a recording.
    """

    def __init__(self, step, variables):
        self.step = step
        self.variables = variables
        self.recordings = {}  # {what a batch looks like: None after its first step, then the list}

    def __call__(self, batch):
        tensors, structure = pytree.tree_flatten(batch)
        if not all(isinstance(tensor, torch.Tensor) for tensor in tensors):
            return self.step(batch)
        looks = (structure, *((t.shape, t.dtype, t.device) for t in tensors))
        if looks not in self.recordings:
            self.recordings[looks] = None
            return self.step(batch)
        if self.recordings[looks] is None:
            self.recordings[looks] = self._recording(tensors, structure)
        return self.recordings[looks](batch, tensors)

    def _recording(self, tensors, structure):
        # What variables hold stays the same tensor: Keras assigns in place.
        values = [variable.value for variable in self.variables]
        lent, logs_structure = None, None

        def operations(values, tensors):
            nonlocal lent, logs_structure
            with _TraceScope(self.variables, values) as lent:
                logs = self.step(pytree.tree_unflatten(tensors, structure))
            flat, logs_structure = pytree.tree_flatten(logs)
            return flat

        try:
            graph = make_fx(operations, tracing_mode="fake")(values, tensors)
        except Exception as error:  # whatever it is: the step itself works, it was run before
            reason = f"{type(error).__name__}: {error}".split("\n")[0]
            warnings.warn(
                f"This training step runs operation by operation, slower ({reason}). Does it look "
                "at values? Noise of the model's `normal` and `uniform`, and `backend.cond` of its "
                "variables, can be recorded. compile(jit_compile=False) does not try.",
                stacklevel=2,
            )
            return lambda batch, tensors: self.step(batch)
        _leave_out_detaching(graph)

        def run(batch, tensors):
            if any(bool(value) != decided for value, decided in lent.decisions):
                return self.step(batch)
            return pytree.tree_unflatten(graph(values, tensors), logs_structure)

        for number in lent.calls:
            weakref.finalize(self, _calls.pop, number)
        return run


def _leave_out_detaching(graph):
    """It means something to autograd alone, for which nothing is left to do."""
    for node in graph.graph.find_nodes(op="call_function", target=torch.ops.aten.detach.default):
        node.replace_all_uses_with(node.args[0])
        graph.graph.erase_node(node)
    graph.recompile()


class _TraceScope(keras.StatelessScope):
    """Within, variables hold other tensors; what is assigned is written into those, in place.

    Attributes:
        decisions: [(a variable's own value, which way `cond` went by it)].
        calls: the numbers of what is called `opaque`.
    """

    current = None

    def __init__(self, variables, values):
        # Nothing is differentiated through the steps: each starts at its own leaves.
        leaves = [
            value.detach().requires_grad_(variable.trainable)
            for variable, value in zip(variables, values, strict=True)
        ]
        super().__init__(list(zip(variables, leaves, strict=True)))
        self.own = {id(leaf): v.value for v, leaf in zip(variables, leaves, strict=True)}
        self.decisions, self.calls = [], []

    def __enter__(self):
        _TraceScope.current = self
        return super().__enter__()

    def __exit__(self, failure, *args):
        _TraceScope.current = None
        if failure:
            for number in self.calls:
                del _calls[number]
        return super().__exit__(failure, *args)

    def add_update(self, update):
        variable, value = update
        with torch.no_grad():
            self.get_current_value(variable).copy_(value)


def cond(predicate, if_true, if_false):
    """`if_true()` or `if_false()`. One way is recorded, for the steps that would go the same."""
    if _TraceScope.current is None:
        return if_true() if predicate else if_false()
    own = _TraceScope.current.own[id(predicate)]
    _TraceScope.current.decisions.append((own, bool(own)))
    return if_true() if own else if_false()


def opaque(function, tensors, written):
    """`function(tensors)`, which assigns the variables `written`: recorded as one operation.

    For what looks at values, as optimizers do at the number of the step.
    """
    if _TraceScope.current is None:
        function(tensors)
        return
    number = next(_numbers)
    _calls[number] = function
    _TraceScope.current.calls.append(number)
    torch.ops.kgen.call(number, tensors, [variable.value for variable in written])


_numbers = itertools.count()
_calls = {}  # {number: function}

torch.library.define("kgen::call", "(int number, Tensor[] tensors, Tensor(a!)[] written) -> ()")


@torch.library.impl("kgen::call", "default")
def _call(number, tensors, written):
    _calls[number](tensors)


@torch.library.register_fake("kgen::call")
def _call_without_values(number, tensors, written):
    return None
