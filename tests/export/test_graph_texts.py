"""Texts through the graph become the ids that `Vocabulary.encode` gives."""

import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.data import Vocabulary, emoji_text
from metric_learning.data.text import words
from metric_learning.export.graph_texts import Tokens

ODD = [
    *("", " ", "\n\t", "a", "...", "\u0000", "🕊", "a🕊b☮️c", "👩‍🚀 astronaut", "Weiße Taube, weiße TAUBE ☮️!"),
    *("İstanbul ISPARTA ı i̇", "ΟΔΟΣ ΣΑΣ ς Σ οδος ΑΣ.", "ﬁne ①②③ ﷺ ｆｕｌｌ ㎏ ½ x²", "नमस्ते हिन्दी", "สวัสดี"),
    *("안녕하세요 각", "東京 ﾃｽﾄ が", "co\u00adoperate zero\u200bwidth a\u200db", "under_score-dash'quote"),
    *("a" * 300, "\ue000 private \U000e0041", "\u0378 unassigned", "Ǆ ǅ ß ẞ", "x\u0301", "été " * 80),
    *("a\u00a0b\u2003c\u3000d", "½¼ Ⅷ ⅷ", "\u2126 \u212a \u212b", "\u1e0d\u0307 \u1ec7"),
]
TO_DECOMPOSE = (
    "été ÉTÉ \u1ec7 \u01d5",
    "안녕하세요 각",
    "が ﾃｽﾄ",
    "\u00c5 ñ",
    "Ελλάς \u03b0",
    "\u05e9\u05c1\u05b8\u05dc",
)
DECOMPOSED = [unicodedata.normalize("NFD", text) for text in TO_DECOMPOSE]


@pytest.fixture(scope="module")
def captions():
    return list(emoji_text().test.captions)


def ids_of(vocabulary, texts):
    tokens = Tokens(vocabulary)
    return tf.function(tokens, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)(texts).numpy()


@pytest.mark.parametrize(
    "options",
    [{}, {"oov_buckets": 0, "length": 7}, {"ngrams": None, "oov_buckets": 5}, {"ngrams": (1, 9), "length": 500}],
    ids=str,
)
def test_ids_are_those_of_the_vocabulary(captions, options):
    vocabulary = Vocabulary.from_texts(captions[::10], **options)
    texts = [*ODD, *DECOMPOSED, *captions[::20]]
    found, expected = ids_of(vocabulary, texts), vocabulary.encode(texts)
    assert found.dtype == np.int32 and found.shape == expected.shape
    assert [text for text, one, other in zip(texts, found, expected, strict=True) if (one != other).any()] == []


def test_what_becomes_other_ids_is_what_the_card_says():
    """Where this no longer holds, the card and the docs promise too little."""
    tokens = Tokens(Vocabulary(("<a>",)))
    unsorted = "e\u0302\u0323"  # NFKC puts the dot below first
    for text in (unsorted, "4Σ", "ΟΔΟΣ's"):
        found = [word.decode() for word in tokens.words(tf.constant([text]))[0].numpy()]
        assert found != words(text), text


def test_no_text_gives_no_ids():
    assert ids_of(Vocabulary(("<a>",), length=3), tf.constant([], tf.string)).shape == (0, 3)
