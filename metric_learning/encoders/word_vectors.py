"""Vectors of words that others have trained, from a text file as GloVe publishes them."""

import pathlib
from collections.abc import Mapping

import numpy as np


def read_word_vectors(path: str | pathlib.Path, word_ids: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of those words of a vocabulary that a file has.

    Each line is a word, which may have spaces in it, and the numbers of its vector, parted by spaces. A first line of
    two numbers, as word2vec and fastText write it, is passed over. Of a word that the file has twice the first counts.

    Args:
        path: of the file, UTF-8.
        word_ids: word -> id.

    Returns:
        Ids int64 [n] in ascending order, and their vectors float32 [n, D].

    Raises:
        ValueError: no such file, a line that is no word and vector, lines of different widths, or none of the words.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise ValueError(
            f"encoder.table must be a text file of words and vectors, as of GloVe; there is none at {path}"
        )
    found: dict[int, list[str]] = {}
    width = None
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            cells = line.rstrip("\r\n ").split(" ")
            if number == 1 and len(cells) == 2:
                continue
            if width is None:
                width = len(cells) - 1
            word = " ".join(cells[: max(len(cells) - width, 0)])
            if width < 1 or not word:
                raise ValueError(
                    f"{path}, line {number}: expected a word and {max(width, 1)} numbers; got {line[:60].rstrip()!r}"
                )
            if word in word_ids:
                found.setdefault(word_ids[word], cells[-width:])
    if not found:
        raise ValueError(f"{path} has none of the {len(word_ids):,} words of the vocabulary")
    ids = np.array(sorted(found), np.int64)
    try:
        vectors = np.array([found[key] for key in ids.tolist()], np.float32)
    except ValueError as error:
        raise ValueError(f"{path}: a vector has something in it that is no number ({error})") from error
    if not np.isfinite(vectors).all():
        raise ValueError(f"{path}: a vector has a number in it that is not finite")
    return ids, vectors
