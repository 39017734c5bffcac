"""Word vectors against files written line by line: which rows of a table they fill, and what is refused."""

import keras
import numpy as np
import pytest

from metric_learning.data import Vocabulary
from metric_learning.encoders import embedding
from metric_learning.encoders.word_vectors import read_word_vectors

WORD_IDS = {"dove": 4, "☮": 1, "new york": 2, "absent": 3}
LINES = ["the 0.1 0.2 0.3", "dove 1 -2 0.5", "new york -1e-1 0 2", "☮ .5 .25 -.125", "dove 9 9 9"]


@pytest.fixture
def file(tmp_path):
    def write(*lines, newline="\n"):
        path = tmp_path / "vectors.txt"
        path.write_bytes(newline.join([*lines, ""]).encode())
        return path

    return write


@pytest.mark.parametrize("newline", ["\n", "\r\n", " \n"])
@pytest.mark.parametrize("header", [[], ["5 3"]])
def test_words_of_the_vocabulary_are_found_and_no_others(file, header, newline):
    ids, vectors = read_word_vectors(file(*header, *LINES, newline=newline), WORD_IDS)
    np.testing.assert_array_equal(ids, [1, 2, 4])
    np.testing.assert_array_equal(vectors, np.array([[0.5, 0.25, -0.125], [-0.1, 0, 2], [1, -2, 0.5]], np.float32))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["the 1 2 3", "dove 1 2"], "line 2: expected a word and 3 numbers; got 'dove 1 2'"),
        (["the 1 2 3", "dove"], "line 2: expected a word and 3 numbers"),
        (["dove"], "line 1: expected a word and 1 numbers"),
        (["dove 1 x 3"], "no number"),
        (["dove 1 nan 3"], "not finite"),
        (["the 1 2 3"], "has none of the 4 words of the vocabulary"),
    ],
)
def test_files_of_something_else_are_refused(file, lines, message):
    with pytest.raises(ValueError, match=message):
        read_word_vectors(file(*lines), WORD_IDS)


def test_the_words_of_a_vocabulary_are_those_that_it_numbers():
    vocabulary = Vocabulary.from_texts(["dove peace", "dove bird"], min_count=1, oov_buckets=3)
    assert set(vocabulary.word_ids) == {"dove", "peace", "bird"}
    for word, key in vocabulary.word_ids.items():
        assert vocabulary.encode([word])[0, 0] == key


@pytest.mark.parametrize("train", [True, False])
def test_the_table_starts_with_them_scaled_and_with_random_rows_elsewhere(file, capsys, train):
    options = {"vocabulary_size": 500, "word_ids": WORD_IDS, "embedding_dim": 3, "initial_scale": 0.02}
    keras.utils.set_random_seed(0)
    encoder = embedding((4,), table=file(*LINES), train_table=train, **options)
    assert "found 3 of 4 words" in capsys.readouterr().err
    table = encoder.get_layer("tokens").embeddings.numpy()
    expected = np.array([[0.5, 0.25, -0.125], [-0.1, 0, 2], [1, -2, 0.5]])
    np.testing.assert_allclose(table[[1, 2, 4]], expected * 0.02 / expected.std(), rtol=1e-5)
    others = np.delete(table, [1, 2, 4], axis=0)
    assert others.std() == pytest.approx(0.02, rel=0.1)
    assert bool(encoder.trainable_variables) == train


def test_a_table_of_another_width_or_for_no_words_is_refused(file):
    with pytest.raises(ValueError, match="token_dim must be 3, the width of .*; got 5"):
        embedding((4,), vocabulary_size=9, word_ids=WORD_IDS, table=file(*LINES), token_dim=5)
    with pytest.raises(ValueError, match="encoder.table is for texts"):
        embedding((4,), vocabulary_size=9, table=file(*LINES))
    with pytest.raises(ValueError, match="encoder.table must be a text file .* there is none at"):
        embedding((4,), vocabulary_size=9, word_ids=WORD_IDS, table="nowhere.txt")
