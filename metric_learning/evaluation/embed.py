"""Inputs through an encoder, in batches of one shape."""

import numpy as np
from tqdm import tqdm


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
    embeddings = None
    for start in tqdm(range(0, count, batch_size), desc="embed", disable=not progress, leave=False):
        batch = np.asarray(inputs[start : start + batch_size])
        rows = len(batch)
        if rows < batch_size:
            batch = np.concatenate([batch, np.repeat(batch[-1:], batch_size - rows, axis=0)])
        found = np.asarray(encoder.predict_on_batch(batch), dtype=np.float32)[:rows]
        if embeddings is None:
            embeddings = np.empty((count, *found.shape[1:]), np.float32)
        embeddings[start : start + rows] = found
    return embeddings
