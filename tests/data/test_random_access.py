"""What is read on access looks like an array, and is read no sooner."""

import numpy as np
import pytest

from metric_learning.data.random_access import RandomAccess, in_memory, is_random_access, one_by_one, take

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


def test_source_of_single_items_is_read_by_index_arrays():
    items = [{"image": image, "label": i} for i, image in enumerate(ROWS)]
    found = one_by_one(items, "image")
    assert (found.shape, found.dtype) == (ROWS.shape, ROWS.dtype)
    np.testing.assert_array_equal(found[[7, 3]], ROWS[[7, 3]], strict=True)
    np.testing.assert_array_equal(one_by_one(list(ROWS))[2:4], ROWS[2:4], strict=True)


def test_wrong_source_of_single_items_is_named():
    with pytest.raises(ValueError, match="at least 1 item, got 0"):
        one_by_one([])
    with pytest.raises(ValueError, match="key must be one of image, label; got 'picture'"):
        one_by_one([{"image": ROWS[0], "label": 0}], "picture")
    with pytest.raises(ValueError, match=r"item 1 has \(2,\) and item 0 \(3,\)"):
        one_by_one([np.zeros(3), np.zeros(2)])[:]


@pytest.mark.slow
def test_random_access_source_of_tensorflow_datasets(tmp_path):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    signature = {"image": tf.TensorSpec([4, 5, 3], tf.uint8), "label": tf.TensorSpec([], tf.int64)}
    features = {"image": tfds.features.Image(shape=(4, 5, 3)), "label": tfds.features.ClassLabel(num_classes=2)}
    items = [{"image": image, "label": i % 2} for i, image in enumerate(ROWS)]
    made = tfds.dataset_builders.store_as_tfds_dataset(
        name="squares",
        config="default",
        version="1.0.0",
        data_dir=tmp_path,
        split_datasets={"train": tf.data.Dataset.from_generator(lambda: items, output_signature=signature)},
        features=tfds.features.FeaturesDict(features),
        file_format="array_record",
    )
    inputs = one_by_one(made.as_data_source(split="train"), "image")
    assert inputs.shape == ROWS.shape
    # TFDS shuffles what it writes.
    assert sorted(map(np.ndarray.tobytes, inputs[:])) == sorted(map(np.ndarray.tobytes, ROWS))
    np.testing.assert_array_equal(inputs[[6, 1]], np.stack([inputs[6], inputs[1]]))
