"""From words to token ids, of all words of many texts at once: what would be lookups in Python are those of arrays."""

from __future__ import annotations

import itertools
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

_CHARACTERS = 2**15  # of texts that are encoded at once
_MOST_WORDS, _MOST_IDS, _LONG = 2**16, 2**21, 64  # that are remembered, some 25 MB, and the longest word of these


class TokenIds:
    """The ids of `Vocabulary.encode`: those of words, then those of their n-grams, each once.

    Args:
        ids: of the known tokens, all above `buckets`.
        length: most ids of a text.
        buckets: for unknown tokens, the ids from 1 on; 0 leaves them out.
        ngrams: shortest and longest; None for words alone.
        words: from texts to the words of each.
    """

    def __init__(
        self,
        ids: dict[str, int],
        length: int,
        buckets: int,
        ngrams: tuple[int, ...] | None,
        words: Callable[[Sequence[str]], list[list[str]]],
    ) -> None:
        self._ids, self._length, self._buckets, self._words = ids, length, buckets, words
        self._grams = Grams(ids, *ngrams) if ngrams else None
        self._known: dict[str, np.ndarray] = {}  # word -> its own id, 0 for none, then those of its n-grams by size
        self._held = 0  # ids of these
        self._one_at_a_time = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """int32 [n, length]; may be called from many threads."""
        encoded = np.zeros((len(texts), self._length), np.int32)
        for start, end in _blocks(texts):
            with self._one_at_a_time:
                self._encode(texts[start:end], encoded[start:end])
        return encoded

    def _encode(self, texts: Sequence[str], encoded: np.ndarray) -> None:
        of_texts = self._words(texts)
        words = list(itertools.chain.from_iterable(of_texts))
        if not words:
            return
        if len(self._known) > _MOST_WORDS or self._held > _MOST_IDS:
            self._known.clear()
            self._held = 0
        new = set(words).difference(self._known)
        long = {word for word in new if len(word) > _LONG}
        self._held += self._learn(list(new - long))
        self._learn(list(long))
        found = list(map(self._known.__getitem__, words))
        for word in long:
            del self._known[word]
        ids = np.concatenate(found)
        lengths = np.fromiter(map(len, found), np.int64, len(found))
        row_of_word = np.repeat(np.arange(len(texts)), np.fromiter(map(len, of_texts), np.int64, len(texts)))
        rows = np.repeat(row_of_word, lengths)
        is_part = np.ones(len(ids), bool)
        wholes = np.cumsum(lengths) - lengths
        is_part[wholes] = False
        ids = np.concatenate([ids[wholes], ids[is_part]])
        rows = np.concatenate([row_of_word, rows[is_part]])
        keep = first_of_each(rows << 32 | ids) & (ids > 0)
        before: int | np.ndarray = 0
        for part in (slice(len(wholes)), slice(len(wholes), None)):  # words first, each kind in the order of the texts
            here = keep[part]
            kept, row = ids[part][here], rows[part][here]
            count = np.bincount(row, minlength=len(texts))
            column = np.arange(len(row)) + np.repeat(before - np.cumsum(count) + count, count)
            fits = column < self._length
            encoded[row[fits], column[fits]] = kept[fits]
            before = count

    def _learn(self, words: list[str]) -> int:
        """Adds words to those that are known; how many ids they have."""
        if not words:
            return 0
        marked = [f"<{word}>" for word in words]
        whole = np.array([self._ids.get(token, 0) for token in marked], np.int64)
        unknown = np.flatnonzero(whole == 0) if self._buckets else np.zeros(0, np.int64)
        whole[unknown] = [1 + zlib.crc32(marked[i].encode()) % self._buckets for i in unknown]
        lengths = np.fromiter(map(len, marked), np.int64, len(marked))
        starts = np.cumsum(lengths) - lengths
        stored, first, count = [whole], [np.arange(len(words))], [np.ones(len(words), np.int64)]
        # A word is not an n-gram of itself, and what begins in one word and ends in another is left out, too.
        for size, ids in self._grams("".join(marked), self._buckets) if self._grams else ():
            first.append(sum(map(len, stored)) + starts)
            count.append(np.where(lengths > size, lengths - size + 1, 0))
            stored.append(ids)
        counts = np.stack(count, axis=1)
        flat, ends = counts.ravel(), np.cumsum(counts)
        places = np.repeat(np.stack(first, axis=1).ravel() - ends + flat, flat) + np.arange(ends[-1])
        ids = np.concatenate(stored)[places].astype(np.int32)
        bounds = itertools.pairwise([0, *ends[counts.shape[1] - 1 :: counts.shape[1]].tolist()])
        self._known.update(zip(words, (ids[start:end] for start, end in bounds), strict=True))
        return len(ids)


class Grams:
    """The ids of the n-grams that begin at every character of a text, of some sizes.

    A known token is found by its beginnings: each that has been numbered, with one more character, has a number again.

    Args:
        ids: of the known tokens.
        low, high: the sizes.
    """

    def __init__(self, ids: dict[str, int], low: int, high: int) -> None:
        self.low, self.high = low, high
        tokens = [token for token in ids if low <= len(token) <= high]
        letters = {letter: 1 + i for i, letter in enumerate(sorted(set().union(*tokens)))}
        self.base = 1 + len(letters)
        self.letters = np.zeros(max(map(ord, letters), default=0) + 2, np.int64)  # the last is for all codes behind it
        self.letters[[ord(letter) for letter in letters]] = list(letters.values())
        self.first = min(low, 3)  # so many letters are one number of less than 64 bits, whatever the letters
        self.levels = []
        before: dict[str, int] = {}
        for size in range(self.first, high + 1):
            starts = dict.fromkeys(token[:size] for token in tokens if len(token) >= size)
            keys = []
            for start in starts:
                key = before.get(start[:-1], 0)
                for letter in start[-1:] if before else start:
                    key = key * self.base + letters[letter]
                keys.append(key)
            self.levels.append((Numbers(keys), np.array([0, *(ids.get(start, 0) for start in starts)])))
            before = {start: 1 + i for i, start in enumerate(starts)}
        self.crc = np.array([_crc_of_byte(byte) for byte in range(256)], np.uint32)

    def __call__(self, text: str, buckets: int) -> Iterator[tuple[int, np.ndarray]]:
        """(size, int64 [m]): ids by the number of the first character, of unknown ones by their hash or 0."""
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        letters = self.letters[np.minimum(codes, len(self.letters) - 1)]
        data = np.frombuffer(text.encode(), np.uint8)
        starts = np.append(np.flatnonzero(data & 0xC0 != 0x80), len(data))
        state = letters
        for size in range(2, self.first + 1):
            state = state[:-1] * self.base + letters[size - 1 :]
        for size, (numbers, ids) in enumerate(self.levels, start=self.first):
            if size > self.first:
                state = state[:-1] * self.base + letters[size - 1 :]
            state = numbers(state)
            if size >= self.low:
                found = ids[state]
                if buckets:
                    unknown = np.flatnonzero(found == 0)
                    found[unknown] = 1 + self._crc32(data, starts[unknown], starts[unknown + size]) % buckets
                yield size, found

    def _crc32(self, data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """`zlib.crc32` of parts of some bytes, as int64."""
        state = np.full(len(starts), 0xFFFFFFFF, np.uint32)
        live, place = np.arange(len(starts)), starts
        while len(live):
            old = state[live]
            state[live] = self.crc[(old ^ data[place]) & 0xFF] ^ old >> 8
            more = place + 1 < ends[live]
            live, place = live[more], place[more] + 1
        return np.int64(0xFFFFFFFF) - state


class Numbers:
    """The numbers 1, 2, ... of keys, int64 above 0 and each once, in a table of open addresses."""

    def __init__(self, keys: Sequence[int]) -> None:
        bits = (4 * len(keys) + 1).bit_length()
        self.shift = np.uint64(64 - bits)
        self.keys, self.numbers = np.zeros(2**bits, np.int64), np.zeros(2**bits, np.int64)
        left, numbers = np.array(keys, np.int64), np.arange(1, len(keys) + 1)
        slots = self._slots(left)
        while len(left):
            free = self.keys[slots] == 0
            self.keys[slots[free]] = left[free]  # of several keys one stays
            here = self.keys[slots] == left
            self.numbers[slots[here]] = numbers[here]
            left, numbers, slots = left[~here], numbers[~here], self._next(slots[~here])

    def __call__(self, keys: np.ndarray) -> np.ndarray:
        """int64 [n], 0 for keys that have none."""
        slots = self._slots(keys)
        there = self.keys[slots]
        found = np.where(there == keys, self.numbers[slots], 0)
        left = np.flatnonzero((there != keys) & (there != 0))
        slots = slots[left]
        while len(left):
            slots = self._next(slots)
            there = self.keys[slots]
            here = there == keys[left]
            found[left[here]] = self.numbers[slots[here]]
            on = ~here & (there != 0)
            left, slots = left[on], slots[on]
        return found

    def _slots(self, keys: np.ndarray) -> np.ndarray:
        return (keys.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> self.shift).view(np.int64)

    def _next(self, slots: np.ndarray) -> np.ndarray:
        return slots + 1 & len(self.keys) - 1


def first_of_each(keys: np.ndarray) -> np.ndarray:
    """bool [n]: which of some int64 stand for the first time.

    >>> first_of_each(np.array([5, 7, 5, 6, 7])).tolist()
    [True, True, False, True, False]
    """
    first = np.empty(len(keys), bool)
    winners = np.empty(2 ** (2 * len(keys)).bit_length(), np.int64)
    left, salt = np.arange(len(keys)), 0x9E3779B97F4A7C15
    while len(left):
        mine = keys[left]
        mixed = mine.view(np.uint64) * np.uint64(salt) >> np.uint64(64 - len(winners).bit_length() + 1)
        slots = mixed.view(np.int64)
        winners[slots[::-1]] = left[::-1]  # the last that is written, which is the first, stays
        won = winners[slots]
        first[left] = won == left
        left = left[keys[won] != mine]  # what had to give way to another key tries again, in other places
        salt = (salt * 0x5851F42D4C957F2D + 0x14057B7EF767814F) % 2**64 | 1
    return first


def _blocks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(start, end) of texts that have some characters together, or of a long one alone."""
    sizes = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
    bounds = np.flatnonzero(np.diff(sizes // _CHARACTERS)) + 1
    yield from itertools.pairwise([0, *bounds.tolist(), len(texts)])


def _crc_of_byte(byte: int) -> int:
    """The entry of a byte in the table of CRC-32, whose polynomial is that of zlib."""
    for _ in range(8):
        byte = byte >> 1 ^ (0xEDB88320 if byte & 1 else 0)
    return byte
