"""What wrong input to train.py gets: one line that names it, and nothing written or lost."""

import concurrent.futures
import os
import pathlib
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time

import hydra
import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

import train
from metric_learning import answers, command_line
from metric_learning.run_folder import Claim, new_folder

ROOT = pathlib.Path(__file__).parent.parent


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
        ("labels=none", "labels must be classes, hierarchy or items; got 'none'"),
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
        ("steps=3 augmentation=null", "augmentation must be one of .*none.*; got null"),
        ("loss.marginn=1", "loss.marginn is no setting; loss has margin, .*miner"),
        ("optimzer=adam", "optimzer is no setting; there are .*optimizer.*"),
        ("loss.margin=-1", "margin must be at least 0; got -1"),
        ("loss.margin=abc", "loss.margin must be a number; got 'abc'"),
        ("data.delimiter=;", "data.delimiter=; has characters that need quotes; write 'data.delimiter=\";\"'"),
        ("data.path=a,b.csv", "data.path=a,b.csv has .* write 'data.path=\"a,b.csv\"', or -m to run with each"),
        ("hydra/launcher=joblib", "hydra/launcher must be one of basic; .*: pip install hydra-joblib-launcher"),
        ("resume=nowhere", "resume must be the folder of a run with a checkpoint; there is none in .*nowhere"),
    ],
)
def test_wrong_input_ends_with_one_line_exit_code_2_and_no_folder(start, tmp_path, override, message):
    process = start(*override.split(), cwd=tmp_path)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert output == ""
    assert re.fullmatch(f"train.py: error: {message}\n", errors), errors
    assert not any(path.is_dir() and any(path.iterdir()) for path in tmp_path.glob("outputs/*"))
    assert not (tmp_path / "nowhere").exists()


@pytest.fixture
def finished(finished_run, tmp_path):
    """A finished run of its own."""
    return shutil.copytree(finished_run[0], tmp_path / "run")


@pytest.mark.slow
def test_a_second_run_in_a_folder_leaves_the_first_one_alone(start, small_run, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    process = start(*small_run, f"hydra.run.dir={finished}", "seed=1")
    assert re.fullmatch(r"train.py: error: .*run holds a run; go on .*\n", process.communicate(timeout=120)[1])
    assert process.returncode == 2
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == before


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


@pytest.mark.parametrize(
    "group", ["augmentation", "class_penalty", "miner", "miner@miner.first", "+penalty", "tracking"]
)
@pytest.mark.parametrize("value", ["null", "3"])
def test_what_is_no_option_of_a_group_is_answered_with_its_options(monkeypatch, group, value):
    overrides = ["steps=3", f"{group}={value}"]
    swept = ["-m", "encoder=cnn,mlp", "loss=choice(triplet,contrastive)"]
    monkeypatch.setattr("sys.argv", ["train.py", *swept, *overrides])
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        with pytest.raises((ValueError, hydra.errors.HydraException)) as raised:
            hydra.compose("config", overrides)
    assert re.fullmatch(rf"{group.lstrip('+')} must be one of .*none.*; got {value}", answers.answer(raised.value))


@pytest.mark.parametrize(
    "value", [";", "a,b.csv", "/x[1]/y", "/a=b", "/x (1)/y", "it's", 'say "so"', "~/x", "#1", "\t"]
)
def test_an_override_that_cannot_be_read_is_answered_with_one_that_can(value):
    answer = answers.in_quotes(f"data.path={value}")
    proposal = shlex.split(answer.partition("; write ")[2])
    found = OverridesParser.create().parse_overrides(proposal)[0]
    assert (found.key_or_group, found.value()) == ("data.path", value)


def test_what_nobody_could_mean_is_told_the_form():
    assert "expected key=value" in answers.in_quotes("loss.margin")
    assert "expected key=value" in answers.in_quotes("a b=3")


def write_run(folder, config):
    """What `resume` asks of a folder."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.npz").touch()
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text("[]", encoding="utf-8")
    return folder


def test_code_in_a_foreign_run_folder_runs_only_if_trusted_here(tmp_path):
    text = "trusted: [mynet]\nencoder: {_target_: metric_learning.encoders.custom, target: mynet.build}\n"
    folder = write_run(tmp_path / "run", text)
    with pytest.raises(ValueError, match="encoder.target is mynet.build, .* say .trusted=.mynet."):
        command_line.configuration_of(folder, [f"resume={folder}"])
    found = command_line.configuration_of(folder, [f"resume={folder}", "trusted=[mynet]"])
    assert found.encoder.target == "mynet.build"
    (folder / "config.yaml").write_text("seed: ${oc.env:HOME}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must hold plain values"):
        command_line.configuration_of(folder, [])


@pytest.mark.slow
def test_no_foreign_code_runs_on_resume_nor_in_evaluation(start, tmp_path):
    (tmp_path / "harm.py").write_text("open('harm.txt', 'w').close()", encoding="utf-8")
    folder = write_run(tmp_path / "run", "loss: {_target_: harm.Loss}\n")
    (folder / "metrics.json").write_text("{}", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    process = start(f"resume={folder}", cwd=tmp_path, env=environment)
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 2 and re.fullmatch("train.py: error: loss._target_ is harm.Loss, .*\n", errors)
    evaluate = [sys.executable, str(ROOT / "scripts" / "evaluate.py"), f"run={folder}"]
    done = subprocess.run(evaluate, capture_output=True, encoding="utf-8", cwd=tmp_path, env=environment)
    assert done.returncode == 2 and "loss._target_ is harm.Loss" in done.stderr
    assert not (tmp_path / "harm.txt").exists()


def test_folders_of_runs_are_taken_exclusively(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: new_folder(tmp_path / "outputs" / "now"), range(40)))
    assert len(set(folders)) == 40 and all(folder.is_dir() for folder in folders)


def test_a_folder_in_use_refuses_a_second_run_until_the_first_one_is_dead(tmp_path):
    program = f"from metric_learning.run_folder import Claim\nheld = Claim({str(tmp_path)!r})\nprint('taken')\ninput()"
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen([sys.executable, "-c", program], **options) as other:
        assert other.stdout.readline() == "taken\n"
        with pytest.raises(ValueError, match=f"is in use by process {other.pid}; "):
            Claim(tmp_path)
        other.kill()
    claim = Claim(tmp_path)
    claim.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_of_two_resumed_at_once_one_goes_on_and_one_is_refused(start, finished):
    overrides = (finished / ".hydra" / "overrides.yaml").read_bytes()
    processes = [start(f"resume={finished}") for _ in range(2)]
    said = [process.communicate(timeout=300)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) == [0, 2]
    assert re.fullmatch("train.py: error: .*run is in use by process .*\n", said[codes.index(2)])
    assert (finished / ".hydra" / "overrides.yaml").read_bytes() == overrides and b"steps=12" in overrides


@pytest.mark.slow
def test_a_disk_that_fills_up_is_said_and_the_run_can_go_on(finish, start, small_run, tmp_path):
    folder = tmp_path / "run"
    process = start(*small_run, "steps=300", f"hydra.run.dir={folder}")
    while process.poll() is None and not (folder / "history.csv").exists():
        time.sleep(0.01)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (3000, 3000))  # as good as a full disk
    errors = process.communicate(timeout=300)[1].splitlines()
    assert process.returncode == 2
    assert re.fullmatch(f"train.py: error: .*File too large.*; once .*, go on with: .*resume={folder}", errors[-1])
    assert not any("Traceback" in line for line in errors)
    assert not list(folder.rglob("checkpoints/.unfinished-*"))
    finish(start(f"resume={folder}"))


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["nan", "byte"])
def test_a_damaged_best_checkpoint_is_said_at_once_on_resume(start, finished, damage):
    best = finished / "checkpoints" / "best.npz"
    if damage == "nan":
        with np.load(best) as file:
            arrays = {name: file[name] for name in file}
        arrays["00000"] = np.full_like(arrays["00000"], np.nan)
        np.savez(best, **arrays)
    else:
        content = bytearray(best.read_bytes())
        content[len(content) // 2] ^= 255
        best.write_bytes(content)
    process = start(f"resume={finished}")
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 2 and re.search("train.py: error: .*best.npz is .*damaged.*\n$", errors)


@pytest.mark.slow
def test_a_file_where_a_folder_must_be_is_one_line(start, tmp_path):
    (tmp_path / "outputs").write_text("", encoding="utf-8")
    process = start("steps=1", cwd=tmp_path)
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 2 and re.fullmatch("train.py: error: .*outputs.*\n", errors)


@pytest.mark.slow
def test_help_may_be_cut_short(tmp_path):
    command = f"{sys.executable} {ROOT / 'train.py'} --help"
    done = subprocess.run(f"{command} | head -1", shell=True, capture_output=True, encoding="utf-8", cwd=tmp_path)
    assert done.stdout.startswith("Trains an encoder") and done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.0])
def test_interrupted_while_it_is_starting_it_ends_quietly(start, tmp_path, seconds):
    process = start(cwd=tmp_path)
    time.sleep(seconds)
    until = time.monotonic() + 2.0  # on a busy machine Python itself is still starting, and speaks of what ends it
    while catches_sigint(process.pid) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=300)
    assert process.returncode in (130, -signal.SIGINT) and errors == "" and output == ""


def catches_sigint(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    caught = next(line for line in lines if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGINT - 1))
