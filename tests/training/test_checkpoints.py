"""A checkpoint is whole or it is the one before; what does not fit changes nothing."""

import keras
import numpy as np
import pytest

from metric_learning.training import checkpoints


@pytest.fixture
def variables():
    return [keras.Variable(np.arange(6.0).reshape(2, 3)), keras.Variable(7, dtype="int64")]


def test_values_dtypes_and_plain_data_come_back(tmp_path, variables):
    checkpoints.save(tmp_path / "deep" / "a.npz", variables, {"step": 3, "history": [{"loss": 0.1}]})
    fresh = [keras.Variable(np.zeros((2, 3))), keras.Variable(0, dtype="int64")]
    meta = checkpoints.restore(tmp_path / "deep" / "a.npz", fresh)
    assert (meta["step"], meta["history"]) == (3, [{"loss": 0.1}])
    for new, old in zip(fresh, variables, strict=True):
        np.testing.assert_array_equal(new, old)


def test_process_killed_while_writing_leaves_the_previous_checkpoint(tmp_path, variables, monkeypatch):
    path = tmp_path / "a.npz"
    checkpoints.save(path, variables, {"step": 1})

    def killed(file, **arrays):
        file.write(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(path, variables, {"step": 2})
    assert checkpoints.restore(path, variables)["step"] == 1


@pytest.mark.parametrize("content", [b"", b"half a file"])
def test_damaged_file_is_named(tmp_path, variables, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="a.npz is no checkpoint of this project, or is damaged"):
        checkpoints.restore(tmp_path / "a.npz", variables)


def test_truncated_file_is_named(tmp_path, variables):
    path = tmp_path / "a.npz"
    checkpoints.save(path, variables, {})
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="damaged"):
        checkpoints.restore(path, variables)


def test_a_byte_that_changed_is_noticed_wherever_it_lies(tmp_path, variables):
    """In floats, in whole numbers, or in the plain data."""
    path = tmp_path / "a.npz"
    checkpoints.save(path, variables, {"step": 1})
    content = path.read_bytes()
    for value in (np.arange(6.0).tobytes(), np.int64(7).tobytes(), '"step"'.encode("utf-32-le")):
        damaged = bytearray(content)
        damaged[content.index(value) + len(value) // 2] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(checkpoints.CheckpointError, match="a.npz is no checkpoint of this project, or is damaged"):
            checkpoints.restore(path, variables)
    path.write_bytes(content)
    assert checkpoints.restore(path, variables)["step"] == 1


def test_nan_in_a_variable_is_named_and_nothing_is_assigned(tmp_path, variables):
    broken = [keras.Variable([[0.0, 1.0, np.nan], [3.0, 4.0, 5.0]], name="kernel"), variables[1]]
    checkpoints.save(tmp_path / "a.npz", broken, {})
    with pytest.raises(checkpoints.CheckpointError, match="a.npz is damaged: kernel has entries that are NaN"):
        checkpoints.restore(tmp_path / "a.npz", variables)
    np.testing.assert_array_equal(variables[0], np.arange(6.0).reshape(2, 3))
    endless = [keras.Variable(np.full((2, 3), np.inf)), variables[1]]  # as some losses begin
    checkpoints.save(tmp_path / "a.npz", endless, {})
    checkpoints.restore(tmp_path / "a.npz", variables)
    np.testing.assert_array_equal(variables[0], np.inf)


def test_missing_file_is_named(tmp_path, variables):
    with pytest.raises(ValueError, match="there is no checkpoint .*a.npz"):
        checkpoints.restore(tmp_path / "a.npz", variables)


def test_variables_of_another_model_are_refused_and_none_is_changed(tmp_path, variables):
    checkpoints.save(tmp_path / "a.npz", variables, {})
    other = [keras.Variable(np.ones((2, 3))), keras.Variable(np.ones(4))]
    with pytest.raises(ValueError, match=r"number 1, saved \[\(\)\], wanted \[\(4,\)\]"):
        checkpoints.restore(tmp_path / "a.npz", other)
    np.testing.assert_array_equal(other[0], np.ones((2, 3)))
    with pytest.raises(ValueError, match="holds 2 variables and the model has 1"):
        checkpoints.restore(tmp_path / "a.npz", other[:1])
