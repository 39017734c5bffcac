"""The story of a run, as its user lives it: what it leaves, what wrong input gets, and that no kill changes its end."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import hydra
import numpy as np
import psutil
import pytest
from omegaconf import OmegaConf
from PIL import Image

import train

ROOT = pathlib.Path(__file__).parent.parent
LOSSES = sorted(path.stem for path in (ROOT / "conf/loss").glob("*.yaml"))
SMALL = [
    "data=image_folder",
    "data.image_size=[8,8]",
    "encoder.widths=[4]",
    "encoder.embedding_dim=4",
    "batch.classes=4",
    "batch.samples=3",
    "steps=12",
    "evaluation.every=4",
    "evaluation.ks=[1,2]",
    "optimizer.learning_rate.warmup_steps=2",
]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of 16 classes of 6 images; a class is a colour."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in range(16):
        (root / f"class{name}").mkdir()
        colour = rng.integers(0, 256, 3)
        for i in range(6):
            pixels = (colour + rng.integers(-60, 60, (8, 8, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"class{name}" / f"{i}.png")
    return root


@pytest.fixture
def configure(images):
    """`configure(*overrides)`: the configuration of a small run."""

    def compose(*overrides):
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
            return hydra.compose("config", [*SMALL, f"data.root={images}", "tracking=none", *overrides])

    return compose


def start(*overrides, **options):
    """Starts `python train.py` as a user would."""
    command = [sys.executable, str(ROOT / "train.py"), *overrides]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finish(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output


def test_run_leaves_everything_about_it_in_its_folder(configure, tmp_path, capsys):
    cfg = configure()
    objective = train.experiment(cfg, tmp_path, resume=False)
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert objective == scores["validation/map@r"]
    assert {"test/recall@1", "test/map@r", "test/r_precision", "test/mrr", "untrained/test/recall@2"} <= set(scores)
    assert scores["best_step"] in (4, 8, 12)

    assert OmegaConf.load(tmp_path / "config.yaml") == OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    assert json.loads((tmp_path / "environment.json").read_text())["packages"]["keras"]
    classes = json.loads((tmp_path / "classes.json").read_text())
    assert len(set(classes["train"]) | set(classes["validation"]) | set(classes["test"])) == 16
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 4
    pictures = {path.name: len(path.read_bytes()) for path in (tmp_path / "report").glob("*.png")}
    assert min(pictures.values()) > 10_000
    assert set(pictures) == {
        "training_curves.png",
        "neighbours.png",
        "embedding_map.png",
        "distance_histograms.png",
    }

    table = capsys.readouterr().out
    assert re.search(r"recall@1 +\d\.\d{4} +\d\.\d{4} +\d\.\d{4} +\d\.\d{4}\n", table)
    assert f"{scores['test/map@r']:.4f}" in table


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_goes_from_data_to_report(configure, tmp_path, loss):
    cfg = configure(f"loss={loss}", "steps=20", "evaluation.every=10")
    objective = train.experiment(cfg, tmp_path, resume=False)
    assert 0.0 < objective <= 1.0
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert np.isfinite([scores["test/recall@1"], scores["test/map@r"]]).all()
    assert len(list((tmp_path / "report").glob("*.png"))) == 4


def test_views_of_unlabelled_items_are_learnt_from(configure, tmp_path):
    views = ["labels=items", "batch.samples=2", "batch.classes=8", "loss=triplet", "steps=4"]
    augmentation = "augmentation={_target_:metric_learning.data.DrawingAugmentation}"
    assert train.experiment(configure(*views, f"+{augmentation}"), tmp_path, resume=False) > 0.0


def test_a_penalty_is_part_of_what_is_learnt(configure, tmp_path):
    for name in ("none", "l1"):
        cfg = configure(f"penalty={name}", "steps=4", *([] if name == "none" else ["penalty.weight=0.5"]))
        train.experiment(cfg, tmp_path / name, resume=False)
    plain, penalized = ((tmp_path / name / "history.csv").read_text().splitlines()[1] for name in ("none", "l1"))
    # The norm of four unit entries is between 1 and 2.
    assert 0.45 < float(penalized.split(",")[1]) - float(plain.split(",")[1]) < 1.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss.margin=-1", "margin must be at least 0; got -1"),
        ("encoder.embedding_dim=0", "embedding_dim must be at least 1; got 0"),
        ("batch.classes=2000", r"batch.classes must be at most the \d training classes there are; got 2000"),
        ("evaluation.ks=[1,6000]", "evaluation.ks must be from 1 to"),
        ("objective=test/map@r", "objective must be one of validation/recall@1, .*; got 'test/map@r'"),
        ("labels=items", "labels=items needs an augmentation"),
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
        train.configuration_of(tmp_path, [])
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.npz").touch()
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- seed=3\n")
    assert train.configuration_of(tmp_path, ["seed=3", f"resume={tmp_path}"]).seed == 3
    with pytest.raises(ValueError, match="keeps its configuration; leave out loss.margin=1"):
        train.configuration_of(tmp_path, ["loss.margin=1", "seed=3"])


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
def test_wrong_input_ends_with_one_line_exit_code_2_and_no_folder(tmp_path, override, message):
    process = start(override, cwd=tmp_path)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert output == ""
    assert re.fullmatch(f"train.py: error: {message}\n", errors), errors
    assert not any(path.is_dir() and any(path.iterdir()) for path in tmp_path.glob("outputs/*"))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.slow
@pytest.mark.parametrize("override", ["resume=.", "hydra.run.dir=. loss.margin=-1"])
def test_folder_that_was_there_before_keeps_its_files(tmp_path, override):
    (tmp_path / "thesis.txt").write_text("precious")
    process = start(*override.split(), cwd=tmp_path)
    process.communicate(timeout=120)
    assert process.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_scores_bit_for_bit(images, tmp_path):
    overrides = [
        *SMALL,
        f"data.root={images}",
        "tracking=none",
        "steps=60",
        "evaluation.every=3",
        "encoder.dropout=0.2",
    ]
    finish(start(*overrides, f"hydra.run.dir={tmp_path / 'whole'}"))

    folder = tmp_path / "killed"
    checkpoint = folder / "checkpoints" / "last.npz"
    process = start(*overrides, f"hydra.run.dir={folder}")
    kills = 0
    for delay in (0.0, 0.4, 0.05, 1.1):
        changed = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        while process.poll() is None and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == changed):
            time.sleep(0.005)
        time.sleep(delay)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        process = start(f"resume={folder}")
    finish(process)
    assert kills >= 2
    assert (folder / "metrics.json").read_bytes() == (tmp_path / "whole" / "metrics.json").read_bytes()
    with (
        np.load(folder / "checkpoints" / "last.npz") as killed,
        np.load(tmp_path / "whole" / "checkpoints" / "last.npz") as whole,
    ):
        assert all((killed[name] == whole[name]).all() for name in whole if name != "meta")

    evaluate = [sys.executable, str(ROOT / "scripts" / "evaluate.py"), f"run={folder}"]
    repeated = subprocess.run(evaluate, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert repeated.returncode == 0, repeated.stderr
    assert "the same, to the last digit" in repeated.stdout


@pytest.mark.slow
def test_sweep_runs_all_and_optuna_maximises_the_objective(images, tmp_path):
    common = ["-m", *SMALL, f"data.root={images}", "tracking=none", f"hydra.sweep.dir={tmp_path}"]
    finish(start(*common, "loss=triplet,contrastive", "seed=0,1"))
    runs = [OmegaConf.load(path.with_name("config.yaml")) for path in sorted(tmp_path.glob("[0-3]/metrics.json"))]
    assert [(run.loss._target_.rpartition(".")[2], run.seed) for run in runs] == [
        ("Triplet", 0),
        ("Triplet", 1),
        ("Contrastive", 0),
        ("Contrastive", 1),
    ]

    optuna = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.direction=maximize"]
    finish(start(*common, *optuna, "loss.margin=interval(0.1,0.5)", f"hydra.sweep.dir={tmp_path / 'optuna'}"))
    best = OmegaConf.load(tmp_path / "optuna" / "optimization_results.yaml")
    values = [json.loads(path.read_text())["validation/map@r"] for path in (tmp_path / "optuna").glob("*/metrics.json")]
    assert len(values) == 2 and best.best_value == max(values)


@pytest.mark.slow
def test_runs_of_a_sweep_leave_no_memory_behind(configure, tmp_path):
    process = psutil.Process()
    used = []
    for i in range(6):
        train.experiment(configure(f"seed={i}"), tmp_path / str(i), resume=False)
        used.append(process.memory_info().rss / 2**20)
    assert used[5] - used[2] < 60, used


def test_runs_of_a_sweep_are_compared(tmp_path):
    for name, seed, recall, overrides in (("0", 0, 0.5, ["loss=triplet"]), ("1", 1, 0.7, ["loss=triplet"])):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / ".hydra" / "overrides.yaml").write_text(json.dumps([*overrides, f"seed={seed}"]))
        scores = {"validation/map@r": recall / 2, "test/recall@1": recall, "test/map@r": recall / 4}
        (tmp_path / name / "metrics.json").write_text(json.dumps(scores))
    compare = [sys.executable, str(ROOT / "scripts" / "compare.py")]
    table = subprocess.run([*compare, f"runs={tmp_path}"], capture_output=True, text=True)
    assert "| `loss=triplet` | 2 | .300 | .600 | .150 |" in table.stdout, table.stderr
    wrong = subprocess.run([*compare, f"runs={tmp_path}", "scores=[test/recall]"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "test/recall not in" in wrong.stderr
