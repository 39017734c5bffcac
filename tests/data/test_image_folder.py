import numpy as np
import pytest
from PIL import Image

from metric_learning.data import image_folder

NAMES = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 4), value).save(path)


@pytest.fixture
def root(tmp_path):
    """Eight classes; class i has images of grey i*10 + k, all with the same base names."""
    for i, name in reversed(list(enumerate(NAMES))):
        save(tmp_path / "pets" / name / "001.png", i * 10)
        save(tmp_path / "pets" / name / "deeper" / "001.png", i * 10 + 1)
    return tmp_path / "pets"


def test_reads_classes_in_the_order_of_their_names(root):
    source = image_folder(root, image_size=[4, 6])
    assert source.name == "pets"
    assert source.class_names == tuple(NAMES)
    assert source.input_shape == (4, 6, 3)
    for split in source.splits.values():
        for image, label, caption in zip(split.inputs, split.labels, split.captions, strict=True):
            assert caption.startswith(NAMES[label] + "/")
            assert (image == label * 10 + ("deeper" in caption)).all()


def test_folder_it_runs_in_has_a_name(root, monkeypatch):
    monkeypatch.chdir(root)
    assert image_folder(".").name == "pets"


def test_equal_base_names_stay_apart(root):
    source = image_folder(root)
    captions = [caption for split in source.splits.values() for caption in split.captions]
    assert len(set(captions)) == 16
    assert "ant/001.png" in captions
    assert "ant/deeper/001.png" in captions


def test_split_is_a_function_of_the_seed(root):
    def test_classes(seed):
        return tuple(image_folder(root, seed=seed).test.classes.tolist())

    assert test_classes(1) == test_classes(1)
    assert len({test_classes(seed) for seed in range(5)}) > 1
    source = image_folder(root, test_fraction=0.3)
    assert [len(split.classes) for split in source.splits.values()] == [4, 2, 2]


def test_hidden_files_and_leavings_of_file_managers_are_no_images(root):
    for name in (".DS_Store", "Thumbs.db", ".cache/old.png"):
        path = root / "ant" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"leavings")
    (root / ".git").mkdir()
    (root / "empty").mkdir()
    (root / "README.md").write_text("about")
    assert image_folder(root).class_names == tuple(NAMES)


def test_unreadable_file_is_named(root):
    (root / "bee" / "000.txt").write_text("not an image")
    with pytest.raises(ValueError, match=r"1 of 17 images cannot be read: .*bee/000.txt"):
        image_folder(root)
    with pytest.warns(UserWarning, match="1 of 17"):
        source = image_folder(root, skip_unreadable=True)
    assert sum(len(split) for split in source.splits.values()) == 16
    for split in source.splits.values():
        for label, caption in zip(split.labels, split.captions, strict=True):
            assert caption.startswith(source.class_names[label] + "/")


def test_lone_class_is_kept_with_a_warning(root):
    (root / "cat" / "001.png").unlink()
    with pytest.warns(UserWarning, match=r"1 class \(cat\)"):
        source = image_folder(root)
    assert 2 in np.concatenate([split.labels for split in source.splits.values()])


def test_wrong_root_is_named(tmp_path):
    with pytest.raises(ValueError, match="root must be a folder .* got .*nowhere"):
        image_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="0 folders"):
        image_folder(tmp_path)
    for name in NAMES[:4]:
        save(tmp_path / name / "1.png", 0)
    with pytest.raises(ValueError, match="num_classes=4"):
        image_folder(tmp_path)
