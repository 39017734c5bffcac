"""Proposals of near rows by TensorFlow, which runs where TensorFlow runs: on a GPU, or on a CPU beside FAISS.

A block of queries times the gallery; the maximum of every group of columns; the k groups of the largest maxima; of
their columns the k largest. The k largest of all columns lie in these groups: of a group that is left out, every column
is at most as large as the maxima of k others.
"""

import contextlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

_BLOCK_CELLS = 2**25  # query-gallery cells held at once: 128 MB
_GROUP = 16  # columns of which the maximum is taken; 8 to 64 are about as fast
_LOWEST = -3e38  # the score of columns that only fill the last group


class TensorFlowProposals:
    """Proposes gallery rows by products in float32, as `faiss.knn` does.

    Args:
        gallery: [m, D] float32.
        dot: by the product, larger is nearer; else by the squared Euclidean distance.
    """

    def __init__(self, gallery: np.ndarray, dot: bool) -> None:
        self._size, self._dot = len(gallery), dot
        self._propose = _compiled(gallery, dot)

    def __call__(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The distance of the farthest proposal, [b] float32, and the proposals, [b, k] int64, nearest first; distances
        are squared Euclidean, or the negative product."""
        step = max(1, min(1024, _BLOCK_CELLS // self._size))
        found = []
        with _full_float32():
            for start in range(0, len(queries), step):
                block = queries[start : start + step]
                # A column of ones takes what is added to a gallery row along in the product.
                block = np.concatenate([block, np.ones((len(block), 1), np.float32)], axis=1)
                found.append(self._propose(tf.constant(block), tf.constant(k)))
        scores = np.concatenate([worst.numpy() for worst, _ in found])
        proposed = np.concatenate([rows.numpy() for _, rows in found]).astype(np.int64)
        if self._dot:
            return -scores, proposed
        return np.einsum("nd,nd->n", queries, queries) - 2 * scores, proposed


def _compiled(gallery, dot):
    num_rows, dim = gallery.shape
    groups = -(-num_rows // _GROUP)
    columns = np.zeros((dim + 1, groups * _GROUP), np.float32)
    columns[:dim, :num_rows] = gallery.T
    if not dot:  # q.g - |g|^2 / 2 is largest where |q - g|^2 is smallest
        columns[dim, :num_rows] = -np.einsum("nd,nd->n", gallery, gallery) / 2
    columns[dim, num_rows:] = _LOWEST
    columns = tf.constant(columns)

    # The columns of a group stand `groups` apart, so that maxima are taken of whole rows.
    @tf.function(input_signature=[tf.TensorSpec((None, dim + 1), tf.float32), tf.TensorSpec((), tf.int32)])
    def propose(queries, k):
        scores = tf.reshape(tf.matmul(queries, columns), (-1, _GROUP, groups))
        best = tf.math.top_k(tf.reduce_max(scores, axis=1), tf.minimum(k, groups), sorted=False).indices
        count = tf.shape(best)[1]
        within = tf.reshape(tf.gather(scores, best, axis=2, batch_dims=1), (-1, _GROUP * count))
        values, places = tf.math.top_k(within, k)
        rows = places // count * groups + tf.gather(best, places % count, batch_dims=1)
        return values[:, -1], rows

    return propose


@contextlib.contextmanager
def _full_float32() -> Iterator[None]:
    """Products on a GPU with all bits of float32, which the bound on what was not proposed counts on."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
