"""Files of a run appear complete, or not at all."""

import errno

import keras
import pytest

from metric_learning.whole_files import in_one_move, write_whole


@pytest.mark.parametrize(
    "end", [OSError(errno.ENOSPC, "No space left on device"), ValueError("no such form"), KeyboardInterrupt()]
)
def test_a_file_that_could_not_be_finished_leaves_the_one_before_and_no_rest(tmp_path, end):
    path = tmp_path / "encoder.keras"
    path.write_text("before", encoding="utf-8")
    with pytest.raises(type(end)), in_one_move(path) as unfinished:
        unfinished.write_text("half", encoding="utf-8")
        raise end
    assert [each.read_text(encoding="utf-8") for each in tmp_path.iterdir()] == ["before"]


def test_a_file_that_was_finished_takes_the_place_of_the_one_before(tmp_path):
    for text in ("first", "second"):
        write_whole(tmp_path / "classes.json", text)
    assert [(each.name, each.read_text(encoding="utf-8")) for each in tmp_path.iterdir()] == [
        ("classes.json", "second")
    ]


def test_keras_writes_an_encoder_in_one_move(tmp_path):
    inputs = keras.Input([3])
    encoder = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    with in_one_move(tmp_path / "encoder.keras") as unfinished:
        encoder.save(unfinished)
        assert not (tmp_path / "encoder.keras").exists()
    assert keras.models.load_model(tmp_path / "encoder.keras").count_params() == 8
    assert len(list(tmp_path.iterdir())) == 1
