"""From texts to token ids in TensorFlow's operations: what `Vocabulary.encode` does.

Texts in Unicode's NFC, as nearly all are, and in NFD, give the same ids. What may give others is marks of one letter in
an order that is not Unicode's, which NFKC sorts, and a Greek capital sigma beside digits or an apostrophe.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from metric_learning.data import Vocabulary
from metric_learning.export.characters import DROP, SPACE, SYMBOL, characters

_CAPITAL_SIGMA, _FINAL_SIGMA, _SIGMA = 0x3A3, 0x3C2, 0x3C3
_MOST_MARKS = 3  # on one letter, that become one character with it
_CODES = 2**21  # more than Unicode has


class Tokens(tf.Module):
    """Texts to token ids, as a part of a graph.

    Args:
        vocabulary: of the run.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__(name="tokens")
        self.vocabulary_length = vocabulary.length
        self.oov_buckets = vocabulary.oov_buckets
        self.size = vocabulary.size
        self.ngrams = vocabulary.ngrams
        known = characters()
        self.compatible = _table(list(known.compatible), list(known.compatible.values()), "")
        pairs = [first * _CODES + second for first, second in known.pairs]
        self.pairs = _table(np.array(pairs, np.int64), np.array(list(known.pairs.values()), np.int64), -1)
        lowered = np.array(list(known.lowered.items()), np.int64)
        self.lowered = _table(lowered[:, 0], lowered[:, 1], -1)
        self.starts, self.kinds = known.starts, known.kinds
        first = 1 + vocabulary.oov_buckets
        ids = np.arange(first, first + len(vocabulary.tokens), dtype=np.int64)
        self.ids = _table(list(vocabulary.tokens) or [""], ids if len(ids) else [0], 0)
        self.crc = np.array([_crc_of_byte(byte) for byte in range(256)], np.int64)

    def __call__(self, texts: tf.Tensor) -> tf.Tensor:
        """[B] strings to int32 [B, length], see `Vocabulary.encode`."""
        words = self.words(texts)  # [B, (w)]
        marked = tf.strings.join(["<", words.flat_values, ">"])
        whole = words.with_flat_values(self._ids(marked))
        ids = tf.concat([whole, self._parts(words, marked)], axis=1) if self.ngrams else whole
        return self._without_repeats(ids)

    def words(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """[B] strings to their words in order, [B, (w)], as `metric_learning.data.text.words`, but with repetitions."""
        chars = tf.strings.unicode_split(texts, "UTF-8")
        becomes = self.compatible.lookup(chars.flat_values)
        changed = chars.with_flat_values(tf.where(becomes == "", chars.flat_values, becomes))
        codes = tf.strings.unicode_decode(tf.strings.reduce_join(changed, axis=-1), "UTF-8")
        for _ in range(_MOST_MARKS):
            codes = self._compose(codes)
        codes = self._lower(codes)
        flat = codes.flat_values
        kinds = tf.gather(self.kinds, tf.searchsorted(self.starts, flat, side="right") - 1)
        flat = tf.where(kinds == SPACE, ord(" "), flat)
        spaces = tf.fill(tf.shape(flat), ord(" "))
        is_symbol = kinds == SYMBOL
        spaced = codes.with_flat_values(tf.stack([spaces, flat, spaces], axis=1))
        kept = codes.with_flat_values(tf.stack([is_symbol, kinds != DROP, is_symbol], axis=1))
        spaced, kept = (
            tf.RaggedTensor.from_row_splits(tf.reshape(each.flat_values, [-1]), 3 * each.row_splits)
            for each in (spaced, kept)
        )
        plain = tf.strings.unicode_encode(tf.ragged.boolean_mask(spaced, kept), "UTF-8")
        return tf.strings.split(tf.strings.regex_replace(plain, "i\u0307", "i"))

    def _compose(self, codes: tf.RaggedTensor) -> tf.RaggedTensor:
        """Two codes that Unicode has one for become that one."""
        flat = tf.cast(codes.flat_values, tf.int64)
        following = tf.concat([flat[1:], [0]], axis=0)
        is_last = _at_ends(codes)
        found = tf.where(is_last, tf.constant(-1, tf.int64), self.pairs.lookup(flat * _CODES + following))
        composed = tf.cast(tf.where(found >= 0, found, flat), tf.int32)
        gone = tf.concat([[False], found[:-1] >= 0], axis=0)[: tf.size(flat)]
        return tf.ragged.boolean_mask(codes.with_flat_values(composed), codes.with_flat_values(~gone))

    def _lower(self, codes: tf.RaggedTensor) -> tf.RaggedTensor:
        """Lower case; a capital sigma that ends a word becomes the one that does."""
        flat = codes.flat_values
        found = tf.cast(self.lowered.lookup(tf.cast(flat, tf.int64)), tf.int32)
        lower = tf.where(found >= 0, found, flat)
        kinds = tf.gather(self.kinds, tf.searchsorted(self.starts, flat, side="right") - 1)
        is_letter = (kinds != SPACE) & (kinds != SYMBOL)
        is_last = _at_ends(codes)
        is_first = tf.concat([[True], is_last[:-1]], axis=0)[: tf.size(flat)]
        after = tf.concat([is_letter[1:], [False]], axis=0) & ~is_last
        before = tf.concat([[False], is_letter[:-1]], axis=0)[: tf.size(flat)] & ~is_first
        ends = (flat == _CAPITAL_SIGMA) & before & ~after
        return codes.with_flat_values(tf.where(ends, _FINAL_SIGMA, lower))

    def _parts(self, words: tf.RaggedTensor, marked: tf.Tensor) -> tf.RaggedTensor:
        """Ids of the n-grams of marked words [W], in the order of `pieces`: [B, (n)]."""
        low, high = self.ngrams or (1, 0)
        lengths = tf.strings.length(marked, unit="UTF8_CHAR")
        by_size = []
        for size in range(low, high + 1):
            starts = tf.ragged.range(tf.where(size < lengths, lengths - size + 1, 0))
            of_word = tf.gather(marked, starts.value_rowids())
            parts = tf.strings.substr(of_word, starts.flat_values, tf.fill(tf.shape(of_word), size), unit="UTF8_CHAR")
            by_size.append(starts.with_flat_values(parts))
        parts = tf.concat(by_size, axis=1)
        return words.with_flat_values(parts.with_flat_values(self._ids(parts.flat_values))).merge_dims(1, 2)

    def _ids(self, tokens: tf.Tensor) -> tf.Tensor:
        """int64 [T]; 0 for what is unknown, where there are no buckets."""
        known = self.ids.lookup(tokens)
        if not self.oov_buckets:
            return known
        unknown = tf.where(known == 0)
        buckets = 1 + self._crc32(tf.gather_nd(tokens, unknown)) % self.oov_buckets
        return tf.tensor_scatter_nd_update(known, unknown, buckets)

    def _crc32(self, tokens: tf.Tensor) -> tf.Tensor:
        """`zlib.crc32` of strings [T] as int64 [T]."""
        lengths = tf.strings.length(tokens)
        most = tf.reduce_max(tf.concat([lengths, [1]], axis=0))
        data = tf.cast(tf.io.decode_raw(tokens, tf.uint8, fixed_length=most), tf.int64)
        start = tf.fill(tf.shape(tokens), tf.constant(0xFFFFFFFF, tf.int64))

        def next_byte(i, crc):
            row = tf.bitwise.bitwise_and(tf.bitwise.bitwise_xor(crc, data[:, i]), 0xFF)
            after = tf.bitwise.bitwise_xor(tf.gather(self.crc, row), crc // 256)
            return i + 1, tf.where(i < lengths, after, crc)

        _, crc = tf.while_loop(lambda i, _: i < most, next_byte, (0, start))
        return tf.bitwise.bitwise_xor(crc, tf.constant(0xFFFFFFFF, tf.int64))

    def _without_repeats(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Each id of a row once, where it comes first; then 0 up to the length."""
        ids = tf.ragged.boolean_mask(ids, ids > 0)
        count = tf.cast(ids.nrows(), tf.int64)
        unique, _ = tf.unique(ids.value_rowids() * self.size + ids.flat_values)
        rows = tf.RaggedTensor.from_value_rowids(unique % self.size, unique // self.size, nrows=count)
        return tf.cast(rows.to_tensor(shape=(None, self.vocabulary_length)), tf.int32)


def _at_ends(codes: tf.RaggedTensor) -> tf.Tensor:
    """bool: which of the flat values end their row."""
    ends = tf.boolean_mask(codes.row_splits[1:], codes.row_lengths() > 0) - 1
    return tf.scatter_nd(ends[:, None], tf.ones_like(ends), tf.shape(codes.flat_values, out_type=tf.int64)) > 0


def _table(keys, values, default):
    keys, values = tf.constant(keys), tf.constant(values)
    initializer = tf.lookup.KeyValueTensorInitializer(keys, values)
    return tf.lookup.StaticHashTable(initializer, tf.constant(default, values.dtype))


def _crc_of_byte(byte: int) -> int:
    """The entry of a byte in the table of CRC-32, whose polynomial is that of zlib."""
    for _ in range(8):
        byte = byte >> 1 ^ (0xEDB88320 if byte & 1 else 0)
    return byte
