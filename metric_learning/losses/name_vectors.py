"""Vectors of names: those that share words, or parts of words, are near each other. Nothing is learned for it."""

import re
import zlib
from collections.abc import Sequence

import numpy as np

# Lengths of the parts of a word, begin and end marked, as in fastText: Bojanowski et al. 2017, arXiv 1607.04606.
PART_LENGTHS = (3, 4, 5)


def vectors_of_names(names: Sequence[str], dim: int) -> np.ndarray:
    """One unit vector a name: the sum of its words' unit vectors, normalized.

    A word is the sum of its own vector and those of its parts. These are drawn by hashing, a sign at one place, so that
    equal names have equal vectors on every machine, and names without a common part are about orthogonal.

    Args:
        names: C strings.
        dim: T, places; the more, the fewer collisions.

    Returns:
        [C, T] float32.
    """
    return np.stack([_unit(sum(_vector_of_word(word, dim) for word in _words(name))) for name in names])


def _words(name):
    return re.findall(r"[^\W_]+", name.lower()) or [name]


def _vector_of_word(word, dim):
    marked = f"<{word}>"
    parts = [marked[start : start + size] for size in PART_LENGTHS for start in range(len(marked) - size + 1)]
    vector = np.zeros(dim, np.float32)
    for feature in [f"={word}", *parts]:
        # crc32, as Python's own hash of strings is another in every process.
        number = zlib.crc32(feature.encode())
        vector[(number >> 1) % dim] += 1.0 if number & 1 else -1.0
    return _unit(vector)


def _unit(vector):
    length = np.linalg.norm(vector)
    return (vector / length if length > 0.0 else vector).astype(np.float32)
