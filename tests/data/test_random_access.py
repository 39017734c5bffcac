"""What is read on access looks like an array, and is read no sooner."""

import numpy as np
import pytest

from metric_learning.data.random_access import RandomAccess, in_memory, is_random_access, take

ROWS = np.random.default_rng(0).integers(0, 256, (11, 4, 5, 3)).astype(np.uint8)


@pytest.fixture
def asked():
    return []


@pytest.fixture
def inputs(asked):
    def read(rows):
        asked.append(rows.tolist())
        return ROWS[rows]

    return RandomAccess(read, 11, (4, 5, 3), np.uint8)


@pytest.mark.parametrize(
    "index",
    [
        3,
        -1,
        np.int64(4),
        slice(2, 9, 3),
        slice(None),
        [5, 5, -2],
        np.array([], np.int64),
        np.arange(11) % 2 == 0,
        np.array([[1, 2], [3, 4]])[0],
    ],
    ids=str,
)
def test_is_indexed_as_an_array_is(inputs, index):
    np.testing.assert_array_equal(inputs[index], ROWS[index], strict=True)


def test_looks_like_an_array(inputs):
    assert (len(inputs), inputs.shape, inputs.dtype) == (11, ROWS.shape, np.uint8)
    np.testing.assert_array_equal(np.asarray(inputs), ROWS, strict=True)
    assert is_random_access(inputs) and is_random_access(ROWS)
    assert not is_random_access([1, 2])
    with pytest.raises(IndexError):
        inputs[11]


def test_part_of_it_reads_nothing_until_it_is_asked(inputs, asked):
    part = inputs.take(np.array([9, 2, 7])).take(np.array([2, 0]))
    assert part.shape == (2, 4, 5, 3)
    assert asked == []
    np.testing.assert_array_equal(part[[1]], ROWS[[9]])
    assert asked == [[9]]


def test_mapped_files_are_not_in_memory_whatever_they_are_seen_through(inputs, tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert [in_memory(found) for found in (mapped, mapped[2:], np.asarray(mapped), np.asarray(mapped)[1:])] == [
        False
    ] * 4
    assert in_memory(ROWS) and in_memory(ROWS[2:]) and in_memory(np.frombuffer(b"abc", np.uint8))
    assert not in_memory(inputs)


def test_rows_of_an_array_are_copied_and_those_of_a_map_are_left_in_the_file(inputs, tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    rows = np.array([4, 0, 4])
    assert isinstance(take(ROWS, rows), np.ndarray)
    for found in (take(mapped, rows), take(inputs, rows)):
        assert isinstance(found, RandomAccess)
        np.testing.assert_array_equal(found[:], ROWS[rows], strict=True)
