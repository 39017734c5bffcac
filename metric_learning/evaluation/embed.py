"""Inputs through an encoder, in batches of one shape."""

import weakref

import numpy as np
import tensorflow as tf
from tqdm import tqdm

# Compiled forward passes by encoder, gone when it is. Not `encoder.predict`: under a strategy of n replicas that embeds
# every batch n times.
_forward_passes = weakref.WeakKeyDictionary()


def embed(encoder, inputs, batch_size=1024, progress=False):
    """Embeddings of all inputs, in inference mode.

    Every batch has the same shape, the last one padded and cut, so that the graph is traced once.

    Args:
        encoder: a `keras.Model` from inputs to [B, D].
        inputs: [n, ...] array, or anything with a length and slices that NumPy can read (a memory
            map).
        batch_size: rows at once; smaller if there are fewer inputs.
        progress: shows a progress bar on stderr.

    Returns:
        [n, D] float32 array, whatever the precision policy of the encoder.

    Raises:
        ValueError: no inputs, or a batch size below 1.
    """
    count = len(inputs)
    if count == 0 or batch_size < 1:
        raise ValueError(
            f"embed needs inputs and a batch_size of at least 1; got {count} inputs and batch_size={batch_size}"
        )
    batch_size = min(batch_size, count)
    forward = _compiled(encoder)
    embeddings = None
    for start in tqdm(range(0, count, batch_size), desc="embed", disable=not progress, leave=False):
        batch = np.asarray(inputs[start : start + batch_size])
        rows = len(batch)
        if rows < batch_size:
            batch = np.concatenate([batch, np.repeat(batch[-1:], batch_size - rows, axis=0)])
        found = forward(tf.constant(batch)).numpy()[:rows]
        if embeddings is None:
            embeddings = np.empty((count, *found.shape[1:]), np.float32)
        embeddings[start : start + rows] = found
    return embeddings


def _compiled(encoder):
    if encoder not in _forward_passes:
        reference = weakref.ref(encoder)  # a strong one would keep its own key alive

        @tf.function(autograph=False, reduce_retracing=True)
        def forward(batch):
            return tf.cast(reference()(batch, training=False), tf.float32)

        _forward_passes[encoder] = forward
    return _forward_passes[encoder]
