"""Inputs through an encoder, in batches of one shape."""

import sys
import weakref
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from metric_learning.evaluation.activations import rows_within
from metric_learning.read_ahead import read_ahead
from metric_learning.types import Rows

# Compiled forward passes by encoder, gone when it is. Not `encoder.predict`: under a strategy of n replicas that embeds
# every batch n times.
_forward_passes: weakref.WeakKeyDictionary[keras.Model, Any] = weakref.WeakKeyDictionary()


def embed(
    encoder: keras.Model, inputs: Rows, batch_size: int = 1024, progress: bool = False, memory: float = 0.5
) -> np.ndarray:
    """Embeddings of all inputs, in inference mode.

    Every batch has the same shape, the last one padded and cut. What does not lie in an array is read ahead.

    Args:
        encoder: a `keras.Model` from inputs to [B, D].
        inputs: [n, ...] array, or anything with a length and slices that NumPy can read (a memory
            map, image files).
        batch_size: rows at once, at most; fewer if there are fewer inputs, or if more would not fit into `memory`.
        progress: shows a progress bar on stderr, once it has taken a second.
        memory: GB that a batch may take on its way through the encoder, whose weights come on top. It is reckoned from
            the sizes of the layers, so that it is the same every time, and on the safe side. On a CPU TensorFlow's pool
            grows by doubling and gives nothing back, so that twice as much may stay taken.

    Returns:
        [n, D] float32 array, whatever the precision policy of the encoder.

    Raises:
        ValueError: no inputs, a batch size below 1, or no memory.
    """
    count = len(inputs)
    if count == 0 or batch_size < 1 or not memory > 0:
        raise ValueError(
            f"embed needs inputs, a batch_size of at least 1 and a memory above 0; got {count} inputs, "
            f"batch_size={batch_size} and memory={memory}"
        )
    item = np.asarray(inputs[:1])
    forward = _compiled(encoder).get_concrete_function(tf.TensorSpec([None, *item.shape[1:]], item.dtype))
    batch_size = min(batch_size, count, rows_within(1e9 * memory, forward.graph, item.nbytes))

    def read(start):
        return item if count == 1 else np.asarray(inputs[start : start + batch_size])

    starts = range(0, count, batch_size)
    batches: Iterable[np.ndarray] = map(read, starts)
    if not isinstance(inputs, np.ndarray) and len(starts) > 1:
        batches = read_ahead(lambda i: read(starts[i]), len(starts))
    embeddings: Any = None  # an array, once the first batch says how wide
    every = 0.5 if sys.stderr.isatty() else 10.0
    options = {"delay": 1.0, "leave": False, "dynamic_ncols": True, "mininterval": every}
    bar = tqdm(total=count, desc="embed", unit=" items", disable=not progress, **options)
    with bar:
        for start, batch in zip(starts, batches, strict=True):
            rows = len(batch)
            if rows < batch_size:
                batch = np.concatenate([batch, np.repeat(batch[-1:], batch_size - rows, axis=0)])
            found = forward(tf.constant(batch)).numpy()[:rows]
            if embeddings is None:
                embeddings = np.empty((count, *found.shape[1:]), np.float32)
            embeddings[start : start + rows] = found
            bar.update(rows)
    return embeddings


def _compiled(encoder):
    if encoder not in _forward_passes:
        reference: Any = weakref.ref(encoder)  # a strong one would keep its own key alive

        @tf.function(autograph=False)
        def forward(batch):
            return tf.cast(reference()(batch, training=False), tf.float32)

        _forward_passes[encoder] = forward
    return _forward_passes[encoder]
