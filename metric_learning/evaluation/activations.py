"""How much memory the rows of a batch take on their way through a graph, read off the graph."""

import math
import weakref

import tensorflow as tf

# Operations that run at once hold more than those of one order; measured over keras.applications: up to 1.6 times.
_AT_ONCE = 2.0
# Batches of inputs around: read ahead, and copied to a tensor.
_INPUTS = 5
_peaks: weakref.WeakKeyDictionary[tf.Graph, int] = weakref.WeakKeyDictionary()  # of graphs that were read already


def rows_within(memory: float, graph: tf.Graph, item_bytes: int) -> int:
    """How many rows a batch may have.

    A function of the graph alone, not of what is free or measured, so that a repeated run has the same batches.

    Args:
        memory: bytes for inputs and activations; what does not grow with the batch, such as weights, comes on top.
        graph: of a concrete function whose inputs [None, ...] differ from run to run in the number of rows only.
        item_bytes: of one row of the inputs.

    Returns:
        At least 1; above 8 a multiple of 8.
    """
    rows = int(memory / (_INPUTS * item_bytes + _AT_ONCE * peak_bytes(graph)))
    return max(1, rows if rows < 8 else rows - rows % 8)


def peak_bytes(graph: tf.Graph) -> int:
    """Bytes for each row that the tensors of a graph take when they take most, run one after the other.

    A tensor is held from the operation that makes it to the last one that uses it.
    """
    if graph not in _peaks:
        _peaks[graph] = _peak_bytes(graph)
    return _peaks[graph]


def _peak_bytes(graph):
    operations = graph.get_operations()
    last_use = {tensor.ref(): i for i, operation in enumerate(operations) for tensor in operation.inputs}
    last_use |= {tensor.ref(): len(operations) for tensor in graph.outputs}
    held = peak = 0
    freed: dict[int, int] = {}
    for i, operation in enumerate(operations):
        for tensor in operation.outputs:
            if tensor.ref() in last_use:
                held += _bytes(tensor)
                freed[last_use[tensor.ref()]] = freed.get(last_use[tensor.ref()], 0) + _bytes(tensor)
        peak = max(peak, held + _within(operation))
        held -= freed.pop(i, 0)
    return peak


def _bytes(tensor):
    """Of a tensor for each row, 0 if it does not have one row for each of the batch."""
    shape = tensor.shape
    if not shape.rank or shape[0] is not None or not tensor.dtype.is_numpy_compatible:
        return 0
    return math.prod(size or 1 for size in shape[1:]) * tensor.dtype.size


def _within(operation):
    """Bytes for each row that an operation takes beside its inputs and outputs."""
    if operation.type == "Conv2D":
        images, kernel = operation.inputs
        height, width, channels, _ = kernel.shape
        if channels != images.shape[-1]:
            # A convolution in groups: the CPU lays out the window of every pixel, for all groups at once.
            pixels = math.prod(size or 1 for size in operation.outputs[0].shape[1:3])
            return pixels * height * width * images.shape[-1] * images.dtype.size
    called = [attribute.func.name for attribute in operation.node_def.attr.values() if attribute.HasField("func")]
    return max((peak_bytes(operation.graph._get_function(name).graph) for name in called), default=0)
