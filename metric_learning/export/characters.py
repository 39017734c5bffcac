"""What becomes of each character on the way from a text to words, as tables: Unicode as this Python knows it."""

from __future__ import annotations

import functools
import sys
import unicodedata
from typing import NamedTuple

import numpy as np

from metric_learning.data.text import WordCharacters

KEEP, DROP, SPACE, SYMBOL = range(4)


class Characters(NamedTuple):
    """The tables of `characters`.

    Attributes:
        compatible: character -> the text that NFKC makes of it alone, for those that it changes.
        pairs: (first, second) -> the one code that NFC makes of two.
        lowered: code -> the code of its lower case, where that is another.
        starts, kinds: int32 [r] ascending and [r]: codes from starts[i] on, up to the next, are kept, are dropped, part
            words, or are words by themselves.
    """

    compatible: dict[str, str]
    pairs: dict[tuple[int, int], int]
    lowered: dict[int, int]
    starts: np.ndarray
    kinds: np.ndarray


@functools.cache
def characters() -> Characters:
    """What `metric_learning.data.text.words` does, character by character."""
    compatible: dict[str, str] = {}
    pairs: dict[tuple[int, int], int] = {}
    lowered: dict[int, int] = {}
    word_characters = WordCharacters()
    kinds = np.full(sys.maxunicode + 1, SPACE, np.int32)
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char) in ("Cn", "Co", "Cs"):  # of no meaning, private, or half a character: most of all
            continue
        becomes = word_characters[code]
        kinds[code] = DROP if becomes == "" else SPACE if becomes == " " else SYMBOL if len(becomes) > 1 else KEEP
        normal = unicodedata.normalize("NFKC", char)
        if normal != char:
            compatible[char] = normal
        lower = char.lower().replace("i\u0307", "i")
        if lower != char:
            lowered[code] = ord(lower)
        parts = unicodedata.normalize("NFD", char)
        if len(parts) > 1 and unicodedata.normalize("NFC", parts) == char:
            first = unicodedata.normalize("NFC", parts[:-1])
            if len(first) == 1:
                pairs[ord(first), ord(parts[-1])] = code
    starts = np.flatnonzero(np.diff(kinds, prepend=-1)).astype(np.int32)
    return Characters(compatible, pairs, lowered, starts, kinds[starts])
