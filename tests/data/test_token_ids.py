"""Token ids of many texts at once, beside a loop over the words of each text."""

import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from metric_learning.data import token_ids
from metric_learning.data.text import Vocabulary, pieces, words, words_of
from metric_learning.data.token_ids import Numbers, first_of_each

TEXTS = [
    "A dove, a DOVE\nand a bird!",
    "",
    "banana bandana ananas",
    "हिन्दी में größer ﬁne cafe\u0301 ☮️ c++ <a>",
    "\u0301x Σας ΣΑΣ İ \x1e\x85 \ud800 中文字 \U0001f54a\U0001f54a",
    "...\n\n",
    "x" * 300 + " dove",
    " ".join(f"dove{i % 70} bird" for i in range(200)),
]


def oracle(vocabulary, text):
    """The ids of a text, one after the other."""
    known = {token: 1 + vocabulary.oov_buckets + i for i, token in enumerate(vocabulary.tokens)}
    whole, parts = [], []
    for word in words(text):
        for place, piece in enumerate(pieces(word, vocabulary.ngrams)):
            key = known.get(piece, 0)
            if not key and vocabulary.oov_buckets:
                key = 1 + zlib.crc32(piece.encode()) % vocabulary.oov_buckets
            (parts if place else whole).append(key)
    ids = [key for key in dict.fromkeys(whole + parts) if key][: vocabulary.length]
    return ids + [0] * (vocabulary.length - len(ids))


@pytest.mark.parametrize("ngrams", [None, (1, 1), (1, 3), (3, 4), (4, 5), (5, 7)])
@pytest.mark.parametrize("oov_buckets", [0, 1, 50])
def test_equals_a_loop_over_words(ngrams, oov_buckets, monkeypatch):
    learned = Vocabulary.from_texts(TEXTS[:5], min_count=1, ngrams=ngrams)
    for tokens in (learned.tokens, learned.tokens[::3], ()):
        for length in (2, 1000):
            vocabulary = Vocabulary(tokens, length, oov_buckets, ngrams)
            expected = np.array([oracle(vocabulary, text) for text in TEXTS], np.int32)
            np.testing.assert_array_equal(vocabulary.encode(TEXTS), expected, strict=True)
            monkeypatch.setattr(token_ids, "_CHARACTERS", 9)
            monkeypatch.setattr(token_ids, "_MOST_WORDS", 4)
            np.testing.assert_array_equal(vocabulary.encode(TEXTS[::-1]), expected[::-1], strict=True)
            monkeypatch.undo()


def test_no_texts_are_no_rows():
    assert Vocabulary(("<a>",), length=3).encode([]).shape == (0, 3)


def test_words_of_many_texts_are_those_of_each():
    assert [list(dict.fromkeys(found)) for found in words_of(TEXTS)] == [words(text) for text in TEXTS]
    assert words_of(["a\nb"]) == [["a", "b"]] and words_of(["a"] * 3) == [["a"]] * 3


def test_every_character_is_what_it_is_alone():
    texts = ["".join(map(chr, range(code, code + 64))) for code in range(0, 0x3000, 64)]
    assert [list(dict.fromkeys(found)) for found in words_of(texts)] == [words(text) for text in texts]


def test_few_words_are_remembered_and_no_long_ones(monkeypatch):
    monkeypatch.setattr(token_ids, "_MOST_WORDS", 100)
    monkeypatch.setattr(token_ids, "_CHARACTERS", 50)
    vocabulary = Vocabulary(("<a>",), length=4)
    vocabulary.encode([f"word{i} " + "y" * 5000 + str(i) for i in range(1000)])
    remembered = vocabulary._token_ids._known
    assert 0 < len(remembered) <= 110
    assert max(map(len, remembered)) < 10
    held = {id(ids.base): ids.base.nbytes for ids in remembered.values()}  # what stands behind the parts of it
    assert sum(held.values()) < 20_000
    monkeypatch.setattr(token_ids, "_MOST_WORDS", 2**16)
    monkeypatch.setattr(token_ids, "_MOST_IDS", 500)
    vocabulary.encode([f"word{i}" for i in range(1000)])
    assert sum(map(len, remembered.values())) < 700


def test_many_threads_get_the_same():
    vocabulary = Vocabulary.from_texts(TEXTS, min_count=1)
    groups = [[f"{text} {i % 7}" for text in TEXTS] for i in range(40)]
    expected = [Vocabulary.from_texts(TEXTS, min_count=1).encode(group) for group in groups]
    with ThreadPoolExecutor(4) as pool:
        for found, right in zip(pool.map(vocabulary.encode, groups), expected, strict=True):
            np.testing.assert_array_equal(found, right, strict=True)


def test_numbers_of_keys_and_what_comes_first_are_found_however_full_the_tables_are():
    rng = np.random.default_rng(0)
    keys = np.unique(rng.integers(1, 2**40, 5000))
    numbers = Numbers(keys.tolist())
    np.testing.assert_array_equal(numbers(keys), np.arange(1, len(keys) + 1))
    assert not numbers(keys + 2**41).any() and not numbers(np.zeros(3, np.int64)).any() and len(numbers(keys[:0])) == 0
    for different in (1, 3, 1000, 10**9):
        drawn = rng.integers(0, different, 5000)
        expected = np.zeros(5000, bool)
        expected[np.unique(drawn, return_index=True)[1]] = True
        np.testing.assert_array_equal(first_of_each(drawn), expected)
