"""PyTorch: training steps traced once into a graph of ATen operations, and replayed.

In eager mode Keras looks up scopes, dtypes and masks around every operation, and autograd builds
its graph anew at each step. A step runs the same operations every time. `TracedStep` traces them
once, including those of the gradients and the optimizer, and replays the graph from then on. The
operations and their order stay the same, so all results are equal, bit for bit.

The trace runs on tensors without values (`FakeTensor`). So a step that reads values, to branch or
to seed a generator, raises instead of being traced with the current values.
"""

import itertools
import warnings
import weakref

import keras
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from kgen.backend.torch_loops import refuse_tracing


class TracedStep:
    """`step(batch)`, which reads and assigns `variables`, traced once per batch shape.

    The first batch of each shape runs eagerly: errors keep their traceback, and one-off shapes are
    not traced.
    """

    def __init__(self, step, variables):
        self.step = step
        self.variables = variables
        self.recordings = {}  # {signature of a batch: None after its first step, then the replay}

    def __call__(self, batch):
        tensors, structure = pytree.tree_flatten(batch)
        if not all(isinstance(tensor, torch.Tensor) for tensor in tensors):
            return self.step(batch)
        signature = (structure, *((t.shape, t.dtype, t.device) for t in tensors))
        if signature not in self.recordings:
            self.recordings[signature] = None
            return self.step(batch)
        if self.recordings[signature] is None:
            self.recordings[signature] = self._recording(tensors, structure)
        return self.recordings[signature](batch, tensors)

    def _recording(self, tensors, structure):
        # Keras assigns in place, so each variable keeps its tensor.
        values = [variable.value for variable in self.variables]
        scope, logs_structure = None, None

        def operations(values, tensors):
            nonlocal scope, logs_structure
            with _TraceScope(self.variables, values) as scope:
                logs = self.step(pytree.tree_unflatten(tensors, structure))
            flat, logs_structure = pytree.tree_flatten(logs)
            return flat

        try:
            graph = make_fx(operations, tracing_mode="fake")(values, tensors)
        except Exception as error:  # of any type; the step itself works: it has run before
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
            if any(bool(value) != decided for value, decided in scope.decisions):
                return self.step(batch)
            return pytree.tree_unflatten(graph(values, tensors), logs_structure)

        for number in scope.calls:
            weakref.finalize(self, _calls.pop, number)
        return run


def _leave_out_detaching(graph):
    """Remove `detach` operations: they only matter to autograd, which the replay does not use."""
    for node in graph.graph.find_nodes(op="call_function", target=torch.ops.aten.detach.default):
        node.replace_all_uses_with(node.args[0])
        graph.graph.erase_node(node)
    graph.recompile()


class _TraceScope(keras.StatelessScope):
    """Scope of a trace: variables read as traced tensors, and assignments write to these in place.

    Attributes:
        decisions: [(a variable's real value, the branch that `cond` took)].
        calls: the numbers of the `opaque` calls.
    """

    current = None

    def __init__(self, variables, values):
        # No gradient flows from one step to the next, so each step starts with new leaves.
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
    """`if_true()` or `if_false()`. One branch is traced; steps that take the other run eagerly."""
    if _TraceScope.current is None:
        refuse_tracing()
        return if_true() if predicate else if_false()
    own = _TraceScope.current.own[id(predicate)]
    _TraceScope.current.decisions.append((own, bool(own)))
    return if_true() if own else if_false()


def opaque(function, tensors, written):
    """Call `function(tensors)`, which mutates `written`, as one opaque op of the traced graph.

    For code that reads values, such as an optimizer's bias correction.
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
