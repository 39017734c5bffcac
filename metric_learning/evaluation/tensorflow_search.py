"""Proposals of near rows by TensorFlow, which runs where TensorFlow runs: on a GPU, or on a CPU beside FAISS.

A block of queries times the gallery; the maximum of every group of columns; the groups of the k largest maxima; of
their columns the k largest. The k largest of all columns lie in these groups: of a group that is left out, every column
is at most as large as the maxima of k others. A GPU does all of it; on a CPU NumPy selects, which does so far faster
where k is large, in threads, while TensorFlow multiplies the next block.
"""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from metric_learning.cores import usable_cores

_BLOCK_CELLS = 2**25  # query-gallery cells held at once, by all threads: 128 MB
_GROUP = 16  # columns of which the maximum is taken; 8 to 64 are about as fast
_ROWS = 4096  # of the gallery that are turned to columns at once
_LOWEST = -3e38  # the score of columns that only fill the last group


class TensorFlowProposals:
    """Proposes gallery rows by products in float32, as `faiss.knn` does.

    Args:
        gallery: [m, D] float32.
        dot: by the product, larger is nearer; else by the squared Euclidean distance.
        select: "tensorflow" or "numpy", who finds the largest; None: TensorFlow where there is a GPU.
        origin: [D] or a number, taken off the rows of the gallery, as it must be off those of the queries.
    """

    def __init__(
        self, gallery: np.ndarray, dot: bool, select: str | None = None, origin: np.ndarray | np.floating | float = 0.0
    ) -> None:
        self._size, self._dot = len(gallery), dot
        self._select = select or ("tensorflow" if tf.config.list_physical_devices("GPU") else "numpy")
        dim = gallery.shape[1]
        columns = _taken_as_they_are(dim + 1, -(-self._size // _GROUP) * _GROUP)
        for start in range(0, self._size, _ROWS):
            part = slice(start, min(start + _ROWS, self._size))
            rows = gallery[part] - origin
            columns[:dim, part] = rows.T
            if not dot:  # q.g - |g|^2 / 2 is largest where |q - g|^2 is smallest
                columns[dim, part] = -np.einsum("nd,nd->n", rows, rows) / 2
        columns[dim, self._size :] = _LOWEST
        self._columns = tf.raw_ops.Identity(input=columns)  # tf.constant would copy them

    def __call__(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The distance of the farthest proposal, [b] float32, and the proposals, [b, k] int64; distances are squared
        Euclidean, or the negative product."""
        threads = min(4, usable_cores()) if self._select == "numpy" else 1
        step = max(1, min(512, _BLOCK_CELLS // threads // self._size))
        blocks = [queries[start : start + step] for start in range(0, len(queries), step)]
        with full_float32, ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(lambda block: self._of_block(block, k), blocks))
        scores, proposed = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if self._dot:
            return -scores, proposed
        return np.einsum("nd,nd->n", queries, queries) - 2 * scores, proposed

    def _of_block(self, queries, k):
        # A column of ones takes what is added to a gallery row along in the product.
        queries = np.concatenate([queries, np.ones((len(queries), 1), np.float32)], axis=1)
        # Maxima of groups that are few beside k would leave out little.
        group = _GROUP if 2 * k * _GROUP <= self._size else 1
        # The columns of a group do not stand together, so that maxima are taken of whole rows.
        scores = tf.reshape(tf.matmul(queries, self._columns), (len(queries), group, -1))
        maxima = tf.reduce_max(scores, axis=1)
        if self._select == "numpy":
            return _largest(np.asarray(scores), np.asarray(maxima), k)
        groups = tf.math.top_k(maxima, k, sorted=False).indices
        within = tf.reshape(tf.gather(scores, groups, axis=2, batch_dims=1), (len(queries), -1))
        values, places = tf.math.top_k(within, k)
        columns = places // k * maxima.shape[1] + tf.gather(groups, places % k, batch_dims=1)
        return values[:, -1].numpy(), columns.numpy().astype(np.int64)


def _taken_as_they_are(rows: int, columns: int) -> np.ndarray:
    """Zeros that begin at a multiple of 64 bytes, as TensorFlow's tensors do: others are copied to become one."""
    room = np.zeros(rows * columns + 16, np.float32)
    first = -room.ctypes.data // room.itemsize % 16
    return room[first : first + rows * columns].reshape(rows, columns)


def _largest(scores: np.ndarray, maxima: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Of scores [b, G, g] and their maxima [b, g] the k-th largest of each row, [b], and the columns of k, [b, k]."""
    groups = maxima.shape[1]
    least = np.partition(maxima, groups - k, axis=1)[:, groups - k]
    large = maxima >= least[:, None]
    if np.count_nonzero(large) == len(maxima) * k:
        group = np.nonzero(large)[1].reshape(-1, k)
    else:  # some rows have ties; this takes half as long again
        group = np.argpartition(maxima, groups - k, axis=1)[:, groups - k :]
    if scores.shape[1] == 1:
        return least, group
    within = np.take_along_axis(scores, group[:, None], axis=2)
    rows, member, place = np.nonzero(within >= least[:, None, None])
    counts = np.bincount(rows, minlength=len(maxima))
    there = np.arange(counts.max()) < counts[:, None]  # of each row k or a few more, and what fills it up
    values: np.ndarray = np.full(there.shape, -np.inf, np.float32)
    columns = np.zeros(there.shape, np.int64)
    values[there], columns[there] = within[rows, member, place], member * groups + group[rows, place]
    best = np.argpartition(values, values.shape[1] - k, axis=1)[:, values.shape[1] - k :]
    return np.take_along_axis(values, best, axis=1).min(axis=1), np.take_along_axis(columns, best, axis=1)


class _FullFloat32(contextlib.AbstractContextManager[None]):
    """Products on a GPU with all bits of float32, which the bound on what was not proposed counts on.

    TensorFlow has one setting for all threads: the first to begin keeps it, and the last to end puts it back.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, True

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = tf.config.experimental.tensor_float_32_execution_enabled()
                tf.config.experimental.enable_tensor_float_32_execution(False)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                tf.config.experimental.enable_tensor_float_32_execution(self._before)


full_float32 = _FullFloat32()
