import json
import subprocess
import sys

import numpy as np
import pytest

from metric_learning.data import raw_items
from metric_learning.data.random_access import RandomAccess
from metric_learning.data.raw_items import tokens_of
from metric_learning.data.text import Vocabulary, WordCharacters, pieces, words


def known(vocabulary, row):
    """The tokens of an encoded row, "?" for a hashed one."""
    first = 1 + vocabulary.oov_buckets
    return [vocabulary.tokens[i - first] if i >= first else "?" for i in row if i]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A cat, a CAT; a dog!", ["a", "cat", "dog"]),
        ("ﬁne ﬁnger", ["fine", "finger"]),
        ("cafe\u0301 CAFÉ", ["café"]),
        ("İstanbul istanbul", ["istanbul"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("don't under_score 3x", ["don", "t", "under", "score", "3x"]),
        ("I ❤️ c++", ["i", "❤", "c", "+"]),
        ("soft\u00adhyphen zero\u200dwidth", ["softhyphen", "zerowidth"]),
        (" ... \n", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_pieces_are_the_marked_word_and_shorter_ngrams():
    assert pieces("a", (3, 5)) == ["<a>"]
    assert pieces("ab", (3, 5)) == ["<ab>", "<ab", "ab>"]
    assert pieces("abc", (3, 5)) == ["<abc>", "<ab", "abc", "bc>", "<abc", "abc>"]
    assert pieces("abc", None) == ["<abc>"]


def test_vocabulary_orders_by_frequency_then_spelling_and_cuts():
    texts = ["c b", "b a", "b c d", "c a"]
    vocabulary = Vocabulary.from_texts(texts, ngrams=None, min_count=2)
    assert vocabulary.tokens == ("<b>", "<c>", "<a>")
    assert Vocabulary.from_texts(texts, ngrams=None, min_count=3).tokens == ("<b>", "<c>")
    assert Vocabulary.from_texts(texts, ngrams=None, max_tokens=1).tokens == ("<b>",)


def test_word_counts_once_per_text():
    vocabulary = Vocabulary.from_texts(["a a a", "b", "b"], ngrams=None, min_count=2)
    assert vocabulary.tokens == ("<b>",)


def test_encode_pads_with_zero_and_puts_words_first():
    vocabulary = Vocabulary.from_texts(["tiger cat"], min_count=1, length=20, oov_buckets=5)
    ids = vocabulary.encode(["cat tiger", "cat"])
    assert ids.dtype == np.int32
    assert ids.shape == (2, 20)
    assert known(vocabulary, ids[0])[:4] == ["<cat>", "<tiger>", "<ca", "cat"]
    assert (ids[1, 5 + 1 :] == 0).all()
    assert ids.max() < vocabulary.size == 1 + 5 + len(vocabulary.tokens)


def test_truncation_loses_ngrams_before_words():
    vocabulary = Vocabulary.from_texts(["alpha beta gamma"], min_count=1, length=3)
    row = vocabulary.encode(["gamma beta alpha"])[0]
    assert known(vocabulary, row) == ["<gamma>", "<beta>", "<alpha>"]


def test_many_texts_are_encoded_as_a_few_are(monkeypatch):
    vocabulary = Vocabulary.from_texts(["banana tree", "tree"], min_count=1, length=9)
    texts = ["banana", "a tree", "", "tree banana", "elk"]
    few = tokens_of(texts, vocabulary)
    monkeypatch.setattr(raw_items, "_MANY", 2)
    many = tokens_of(texts, vocabulary)
    assert isinstance(few, np.ndarray) and isinstance(many, RandomAccess)
    np.testing.assert_array_equal(many[:], few, strict=True)
    np.testing.assert_array_equal(many[[3, 0]], few[[3, 0]], strict=True)


def test_each_id_comes_once():
    vocabulary = Vocabulary.from_texts(["banana"], min_count=1, ngrams=(3, 3))
    row = vocabulary.encode(["banana BANANA"])[0]
    assert len(np.unique(row[row > 0])) == (row > 0).sum() == 6  # <banana> <ba ban ana nan na>


def test_unknown_tokens_are_hashed_into_their_own_ids():
    vocabulary = Vocabulary.from_texts(["cat", "cat"], ngrams=None, oov_buckets=1000)
    ids = vocabulary.encode(["cat", "dog", "elk", "dog"])[:, 0]
    assert ids[0] == 1001
    assert ids[1] == ids[3] != ids[2]
    assert ((ids[1:] >= 1) & (ids[1:] <= 1000)).all()


def test_of_all_characters_not_all_are_remembered():
    characters = WordCharacters()
    assert "".join(map(chr, range(sys.maxunicode + 1))).translate(characters).count("ä") == 1
    assert len(characters) <= 2**16


def test_without_buckets_unknown_tokens_are_left_out():
    vocabulary = Vocabulary.from_texts(["cat", "cat"], ngrams=None, oov_buckets=0)
    np.testing.assert_array_equal(vocabulary.encode(["dog cat", "dog"])[:, :2], [[1, 0], [0, 0]])
    with pytest.raises(ValueError, match="no token occurs min_count=3 times"):
        Vocabulary.from_texts(["cat", "cat"], min_count=3, oov_buckets=0)


@pytest.mark.slow
def test_ids_are_the_same_in_another_process():
    code = (
        "from metric_learning.data.text import Vocabulary;"
        "print(Vocabulary(('<cat>',)).encode(['ünseen cat'])[0, :5].tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == Vocabulary(("<cat>",)).encode(["ünseen cat"])[0, :5].tolist()


def test_saved_vocabulary_comes_back_equal(tmp_path):
    vocabulary = Vocabulary.from_texts(["größe हिन्दी", "größe"], length=9, ngrams=[2, 4])
    vocabulary.save(tmp_path / "vocabulary.json")
    loaded = Vocabulary.load(tmp_path / "vocabulary.json")
    assert loaded == vocabulary
    np.testing.assert_array_equal(loaded.encode(["größer x"]), vocabulary.encode(["größer x"]))


@pytest.mark.parametrize("contents", ["{", "[]", '{"tokens": ["a"]}', '{"words": 1}'])
def test_file_that_is_no_vocabulary_is_named(tmp_path, contents):
    path = tmp_path / "broken.json"
    path.write_text(contents)
    with pytest.raises(ValueError, match="broken.json is not a vocabulary"):
        Vocabulary.load(path)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_tokens", 0),
        ("min_count", 0),
        ("length", 0),
        ("oov_buckets", -1),
        ("ngrams", (5, 3)),
        ("ngrams", (3,)),
        ("ngrams", (0, 3)),
    ],
)
def test_option_out_of_range_is_named(option, value):
    with pytest.raises(ValueError, match=f"{option} must be"):
        Vocabulary.from_texts(["a cat", "a cat"], **{option: value})


def test_words_of_a_file_of_vectors_are_known_after_those_of_the_texts(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("the 0.1 0.2\nPeace 1 2\n, 1 2\ndove 1 2\nolive 1 2\n", encoding="utf-8")
    vocabulary = Vocabulary.from_texts(["dove peace"], min_count=1, ngrams=None, words_from=path)
    assert vocabulary.tokens == ("<dove>", "<peace>", "<the>", "<olive>")
    assert Vocabulary.from_texts(["dove"], min_count=1, ngrams=None, words_from=path, max_words=1).tokens == (
        "<dove>",
        "<the>",
    )
    with pytest.raises(ValueError, match="data.words_from must be a text file .* there is none at"):
        Vocabulary.from_texts(["dove"], words_from=tmp_path / "nowhere.txt")


def test_a_long_text_takes_no_room_for_the_short_ones():
    texts = ["a short one\0"] * 99 + ["long " * 10_000]
    found = tokens_of(texts, None)
    assert found.tolist() == texts and found.nbytes < 1_000
