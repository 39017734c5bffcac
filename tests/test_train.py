"""The story of a run, as its user lives it: what it leaves, what wrong input gets, and that no kill changes its end."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import tensorflow as tf
from omegaconf import OmegaConf

import train
from metric_learning.training import is_chief

ROOT = pathlib.Path(__file__).parent.parent
LOSSES = sorted(path.stem for path in (ROOT / "conf/loss").glob("*.yaml"))
# The page sees scores and embeddings only: those of class vectors, of no negatives, of rows that are pulled together.
WITH_PAGE = {"arc_face", "barlow_twins", "intra_pair_variance"}


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
    assert min(pictures.values()) > 8_000
    assert set(pictures) == {
        "data.png",
        "training_curves.png",
        "neighbors.png",
        "embedding_map.png",
        "distance_histograms.png",
        "suspicious_labels.png",
    }
    header = (tmp_path / "report" / "suspicious_labels.csv").read_text().splitlines()[0]
    assert header == "id,caption,given_label,proposed_label,agreement,neighbors,correct_label"

    table = capsys.readouterr().out
    assert re.search(r"recall@1( +\d\.\d{4}){2}( +\d\.\d{4} \(\S+ to \S+\)){2}\n", table)
    assert f"{scores['test/map@r']:.4f}" in table


@pytest.mark.slow
@pytest.mark.parametrize(
    "override",
    [
        "strategy=mirrored",
        "strategy=mirrored strategy.logical_cpus=2",
        "strategy=multi_worker",
        "precision=mixed_float16",
        "precision=mixed_bfloat16",
    ],
)
def test_every_way_to_train_goes_from_data_to_report(finish, start, small_run, tmp_path, override):
    finish(start(*small_run, f"hydra.run.dir={tmp_path}", *override.split()))
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert scores["test/map@r"] > scores["untrained/test/map@r"] - 0.05
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 4


@pytest.mark.slow
def test_a_worker_whose_other_is_never_started_ends_with_one_line_that_names_it(start, small_run, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        own, absent = (f"127.0.0.1:{each.getsockname()[1]}" for each in (first, second))
    config = {"cluster": {"worker": [own, absent]}, "task": {"type": "worker", "index": 0}}
    environment = os.environ | {"TF_CONFIG": json.dumps(config)}
    overrides = [*small_run, "strategy=multi_worker", "strategy.timeout=2", f"hydra.run.dir={tmp_path / 'run'}"]
    process = start(*overrides, env=environment)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 2 and output == ""
    waits, gives_up = errors.splitlines()
    assert waits == f"{own} waits up to 2 s for {absent}"
    assert gives_up == f"train.py: error: {absent} of TF_CONFIG did not answer within 2 s"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_texts_go_from_data_to_report_on_one_device_and_on_all(finish, start, tmp_path):
    texts = ["data=emoji_text", "encoder=embedding", "encoder.embedding_dim=8", "steps=40", "tracking=none"]
    for strategy in ("single", "mirrored"):
        finish(start(*texts, f"strategy={strategy}", f"hydra.run.dir={tmp_path / strategy}"))
        scores = json.loads((tmp_path / strategy / "metrics.json").read_text())
        assert 0.0 < scores["untrained/test/map@r"] < scores["test/map@r"]


def test_of_several_workers_one_keeps_the_books():
    def cluster(task_type, task_id, *jobs):
        return tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({job: ["a:1", "b:1"] for job in jobs}), task_type=task_type, task_id=task_id
        )

    assert is_chief(None) and is_chief(cluster(None, None))
    assert is_chief(cluster("worker", 0, "worker")) and not is_chief(cluster("worker", 1, "worker"))
    assert is_chief(cluster("chief", 0, "chief", "worker"))
    assert not is_chief(cluster("worker", 0, "chief", "worker"))


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_goes_from_data_to_scores(configure, tmp_path, request, loss):
    if loss not in WITH_PAGE:
        request.getfixturevalue("without_report")
    cfg = configure(f"loss={loss}", "steps=20", "evaluation.every=10")
    objective = train.experiment(cfg, tmp_path, resume=False)
    assert 0.0 < objective <= 1.0
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert np.isfinite([scores["test/recall@1"], scores["test/map@r"]]).all()
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 3
    assert len(list((tmp_path / "report").glob("*.png"))) == (6 if loss in WITH_PAGE else 0)


@pytest.mark.parametrize("augmentation", ["drawing", "views", "keras"])
def test_views_of_unlabeled_items_are_learned_from(configure, tmp_path, without_report, augmentation):
    views = ["labels=items", f"augmentation={augmentation}", "batch.samples=2", "batch.classes=8", "loss=nt_xent"]
    views.append("steps=4")
    assert train.experiment(configure(*views), tmp_path, resume=False) > 0.0


def test_a_penalty_is_part_of_what_is_learned(configure, tmp_path, without_report):
    for name in ("none", "l1"):
        cfg = configure(f"penalty={name}", "steps=4", *([] if name == "none" else ["penalty.weight=0.5"]))
        train.experiment(cfg, tmp_path / name, resume=False)
    plain, penalized = ((tmp_path / name / "history.csv").read_text().splitlines()[1] for name in ("none", "l1"))
    # The norm of four unit entries is between 1 and 2.
    assert 0.45 < float(penalized.split(",")[1]) - float(plain.split(",")[1]) < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_killed_run_resumes_to_the_same_scores_bit_for_bit(finish, start, small_run, tmp_path, cache):
    overrides = [
        *small_run,
        "steps=60",
        "evaluation.every=3",
        "encoder.dropout=0.2",
    ]
    finish(start(*overrides, f"hydra.run.dir={tmp_path / 'whole'}"))

    folder = tmp_path / "killed"
    checkpoint = folder / "checkpoints" / "last.npz"
    cached = [f"data.cache={cache}", f"data.cache_dir={tmp_path / 'cache'}"]
    process = start(*overrides, *cached, f"hydra.run.dir={folder}")
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
def test_sweep_runs_all_and_optuna_maximizes_the_objective(finish, start, small_run, tmp_path):
    common = ["-m", *small_run, f"hydra.sweep.dir={tmp_path}"]
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
@pytest.mark.parametrize("sweeper", ["basic", "optuna"])
def test_a_failed_run_of_a_sweep_is_one_failed_run(start, small_run, tmp_path, sweeper):
    command = ["-m", f"hydra/sweeper={sweeper}", *small_run, f"hydra.sweep.dir={tmp_path}"]
    if sweeper == "optuna":
        sampler = ["hydra/sweeper/sampler=grid", "hydra.sweeper.n_jobs=1", "hydra.sweeper.direction=maximize"]
        process = start(*command, *sampler, "optimizer.learning_rate.peak=choice(1e30,0.01)")
    else:
        process = start(*command, "optimizer.learning_rate.peak=1e30,0.01")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == (1 if sweeper == "basic" else 0), errors
    assert re.search(r"^run \d failed: the loss of step \d+ is .*$", errors, flags=re.MULTILINE)
    assert re.search(r"^1 of 2 runs failed \(\d\); see failure.txt in ", errors, flags=re.MULTILINE)
    assert "Traceback" not in errors
    assert re.search(r"^run 1: .*optimizer.learning_rate.peak=", output, flags=re.MULTILINE)
    assert len(list(tmp_path.glob("*/metrics.json"))) == 1


@pytest.mark.slow
def test_runs_of_a_sweep_leave_no_memory_behind(configure, tmp_path):
    process = psutil.Process()
    used = []
    for i in range(6):
        train.experiment(configure(f"seed={i}"), tmp_path / str(i), resume=False)
        used.append(process.memory_info().rss / 2**20)
    assert used[5] - used[2] < 60, used


def test_runs_of_a_sweep_are_compared(script, tmp_path):
    for name, seed, recall, overrides in (("0", 0, 0.5, ["loss=triplet"]), ("1", 1, 0.7, ["loss=triplet"])):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / ".hydra" / "overrides.yaml").write_text(json.dumps([*overrides, f"seed={seed}"]))
        scores = {"validation/map@r": recall / 2, "test/recall@1": recall, "test/map@r": recall / 4}
        scores["intervals"] = {"test/recall@1": [recall - 0.1, recall + 0.125]}
        (tmp_path / name / "metrics.json").write_text(json.dumps(scores))
    table = script("compare", f"runs={tmp_path}")
    assert "| `loss=triplet` | 2 | .300 | .600 (.50 to .72) | .150 |" in table.stdout, table.stderr
    for name, loss in (("0", "triplet"), ("1", "contrastive")):
        overrides = [f"loss={loss}", "steps=9", f"seed={name}"]
        (tmp_path / name / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides), encoding="utf-8")
    several = script("compare", f"runs={tmp_path}").stdout
    assert several.startswith("All with `steps=9`:\n") and "| `loss=contrastive` | 1 | .350 |" in several
    for wrong in ("test/recall", "intervals"):
        refused = script("compare", f"runs={tmp_path}", f"scores=[{wrong}]")
        assert refused.returncode == 2 and f"{wrong} not in" in refused.stderr
        assert refused.stderr.endswith("; there are validation/map@r, test/recall@1, test/map@r\n")
    (tmp_path / "0" / "metrics.json").write_text("{", encoding="utf-8")
    damaged = script("compare", f"runs={tmp_path}")
    assert damaged.returncode == 2 and f"{tmp_path / '0' / 'metrics.json'} is damaged" in damaged.stderr
