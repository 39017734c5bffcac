"""The configuration of a run, read again by scripts; what a resumed run reads is tested in test_train_input.py."""

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
