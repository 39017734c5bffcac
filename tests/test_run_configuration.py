"""The configuration of a run, read again by scripts; what a resumed run reads is tested in test_train_input.py."""

import re

import pytest

from metric_learning.run_configuration import apart, load


def test_data_that_have_moved_are_named_in_words(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("data:\n  _target_: metric_learning.data.image_folder\n  root: gone\n  seed: 3\n")
    words, moved = apart(["run=a", "data.root=a b", "far=0.1"])
    assert (words, moved) == (["run=a", "far=0.1"], ["data.root=a b"])
    assert load(file, moved=moved).data == {**load(file).data, "root": "a b"}
    for wrong in ("data.rot=x", "data.root", "data._target_=os.system"):
        with pytest.raises(ValueError, match=f"the data of .*config.yaml have root, seed; got {wrong}"):
            load(file, moved=[wrong])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.unseen_classes=flase", "data.unseen_classes must be true or false; got 'flase'"),
        ("data.test_fraction=half", "data.test_fraction must be a number; got 'half'"),
        ("data.image_size=[6,x]", "data.image_size must be a whole number; got 'x'"),
        ("data.image_size=[6", "data.image_size cannot be read; expected such as 1, true or [1,2]; got '[6'"),
    ],
)
def test_a_value_must_be_of_the_kind_that_the_run_has(tmp_path, word, message):
    file = tmp_path / "config.yaml"
    settings = "root: gone\n  image_size: [6, 6]\n  test_fraction: 0.5\n  unseen_classes: true\n  fold: null\n"
    file.write_text(f"data:\n  _target_: metric_learning.data.image_folder\n  {settings}")
    with pytest.raises(ValueError, match=re.escape(message)):
        load(file, moved=[word])
    found = load(file, moved=["data.root=2024", "data.image_size=8", "data.fold=1"]).data
    assert (found.root, found.image_size, found.fold, found.test_fraction) == ("2024", 8, 1, 0.5)
