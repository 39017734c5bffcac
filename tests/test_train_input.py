"""What wrong input to train.py gets: one line that names it, and nothing written or lost."""

import re

import hydra
import pytest

import train
from metric_learning import command_line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss.margin=-1", "margin must be at least 0; got -1"),
        ("encoder.embedding_dim=0", "embedding_dim must be at least 1; got 0"),
        ("batch.classes=2000", r"batch.classes must be at most the \d training classes there are; got 2000"),
        ("evaluation.ks=[1,6000]", "evaluation.ks must be from 1 to"),
        ("objective=test/map@r", "objective must be one of validation/recall@1, .*; got 'test/map@r'"),
        ("labels=items", "labels=items needs an augmentation"),
        ("augmentation=tokens", "TokenSampling takes texts, and .* has images; choose augmentation=drawing, or none"),
        ("labels=none", "labels must be classes or items; got 'none'"),
        ("precision=float8", "precision must be one of float32, mixed_float16, mixed_bfloat16; got 'float8'"),
        ("distance=manhattan", "distance must be one of cosine, .*; got 'manhattan'"),
        ("loss.distance=euclidean", "loss measures by euclidean and the run by cosine; set distance=euclidean for all"),
        ("steps=0", "steps must be a whole number of at least 1; got 0"),
        ("data.root=/nowhere", "root must be a folder with one folder per class"),
        ("data.image_size=[1,8]", "images must be at least 2 pixels wide and high; got 1x8"),
    ],
)
def test_wrong_input_is_named_and_nothing_is_written(configure, tmp_path, override, message):
    folder = tmp_path / "run"
    cfg = configure(override)
    with pytest.raises((ValueError, hydra.errors.InstantiationException)) as raised:
        train.experiment(cfg, folder, resume=False)
    error = raised.value
    assert re.search(message, str(error.__cause__ or error)), error
    assert not folder.exists()


def test_resume_needs_a_run_and_keeps_its_configuration(tmp_path):
    with pytest.raises(ValueError, match="resume must be the folder of a run with a checkpoint"):
        command_line.configuration_of(tmp_path, [])
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.npz").touch()
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- seed=3\n")
    assert command_line.configuration_of(tmp_path, ["seed=3", f"resume={tmp_path}"]).seed == 3
    with pytest.raises(ValueError, match="keeps its configuration; leave out loss.margin=1"):
        command_line.configuration_of(tmp_path, ["loss.margin=1", "seed=3"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss=tripplet", "loss must be one of adaptive_triplet, .*, vicreg; got 'tripplet'"),
        ("loss.marginn=1", "loss.marginn is no setting; loss has margin, .*miner"),
        ("optimzer=adam", "optimzer is no setting; there are .*optimizer.*"),
        ("loss.margin=-1", "margin must be at least 0; got -1"),
        ("loss.margin=abc", "loss: .*not supported between instances of 'str' and 'int'"),
        ("resume=nowhere", "resume must be the folder of a run with a checkpoint; there is none in .*nowhere"),
    ],
)
def test_wrong_input_ends_with_one_line_exit_code_2_and_no_folder(start, tmp_path, override, message):
    process = start(override, cwd=tmp_path)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert output == ""
    assert re.fullmatch(f"train.py: error: {message}\n", errors), errors
    assert not any(path.is_dir() and any(path.iterdir()) for path in tmp_path.glob("outputs/*"))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.slow
def test_a_second_run_in_a_folder_leaves_the_first_one_alone(finish, start, small_run, tmp_path):
    command = [*small_run, f"hydra.run.dir={tmp_path / 'run'}"]
    finish(start(*command))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()}
    process = start(*command, "seed=1")
    assert re.fullmatch(r"train.py: error: .*run holds a run; go on .*\n", process.communicate(timeout=120)[1])
    assert process.returncode == 2
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_an_error_that_came_late_keeps_its_traceback():
    error = ValueError("no picture")
    with pytest.raises(SystemExit):
        command_line.stop_if_input_was_wrong(error)
    error.came_late = True
    command_line.stop_if_input_was_wrong(error)


@pytest.mark.slow
@pytest.mark.parametrize("override", ["resume=.", "hydra.run.dir=. loss.margin=-1"])
def test_folder_that_was_there_before_keeps_its_files(start, tmp_path, override):
    (tmp_path / "thesis.txt").write_text("precious")
    process = start(*override.split(), cwd=tmp_path)
    process.communicate(timeout=120)
    assert process.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
