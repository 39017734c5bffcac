"""The programs of scripts/ that measure and draw: they run on little, and leave no loss out."""

import csv
import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

ROOT = pathlib.Path(__file__).parent.parent
# Without benchmark_subject, which is of benchmark.py and not for people.
PROGRAMS = sorted({path.stem for path in (ROOT / "scripts").glob("*.py")} - {"benchmark_subject"})
LOSSES = sorted(path.stem for path in (ROOT / "conf/loss").glob("*.yaml"))


def load(name):
    """A program as a module, which no other code may import."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"scripts/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def plots():
    return load("plot_losses")


@pytest.fixture(scope="module")
def benchmark():
    return load("benchmark")


def run(program, *arguments):
    command = [sys.executable, str(ROOT / f"scripts/{program}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_loss_is_in_exactly_one_picture(plots):
    members = plots.families()
    assert sorted(name for names in members.values() for name in names) == LOSSES
    assert set(plots.IN_COMPANY) <= set(LOSSES)
    assert {"contrastive", "cosine"} <= set(members["pairs"]) and {"triplet", "quadruplet"} <= set(members["triplets"])


def test_a_picture_is_drawn(plots, tmp_path, monkeypatch):
    path = plots.draw("pairs", ["contrastive", "cosine"], tmp_path)
    with Image.open(path) as picture:
        assert picture.width >= 660 and len(picture.convert("RGB").getcolors(2**16)) > 8
    assert path.stat().st_size < 250_000


def test_curves_are_those_of_the_formula(plots):
    loss = plots.build("contrastive")
    (angles, near, slopes), (_, far, _) = plots.pair_curves(loss, plots.ONE_EACH)
    distances = 1.0 - np.cos(np.radians(angles))
    push = max(0.0, loss.negative_margin - 0.5)  # the negative stands at 60 degrees
    np.testing.assert_allclose(near, distances + push, atol=1e-5)
    np.testing.assert_allclose(
        far, 1.0 - np.cos(np.pi / 6) + np.maximum(0.0, loss.negative_margin - distances), atol=1e-5
    )
    np.testing.assert_allclose(slopes, np.sin(np.radians(angles)) * np.pi / 180.0, atol=1e-5)


def test_a_loss_of_the_wrong_sign_is_noticed(plots, capsys):
    xs = np.linspace(0.0, 1.0, 5)
    plots.warn("fine", ((xs, xs, xs), (xs, -xs, xs)))
    assert capsys.readouterr().err == ""
    plots.warn("turned", ((xs, -xs, xs), (xs, -xs, xs)))
    plots.warn("broken", ((xs, xs * np.nan, xs), (xs, -xs, xs)))
    said = capsys.readouterr().err
    assert "turned" in said and "positive" in said and "negative" not in said and "broken" in said


def test_what_a_loss_remembers_stays_as_it_is(plots):
    class Counter:
        non_trainable_variables = [tf.Variable(1.0)]
        layers = property(lambda self: [self])

    counter = Counter()
    values, slopes = plots.evaluate(
        counter, lambda x: x * counter.non_trainable_variables[0].assign_add(1.0), [1.0, 2.0]
    )
    np.testing.assert_array_equal(values, [2.0, 4.0])
    np.testing.assert_array_equal(slopes, [2.0, 2.0])


@pytest.mark.parametrize(
    ("program", "word", "message"),
    [
        ("plot_losses", "only=pears", "families are pairs, triplets, .*; got pears"),
        ("plot_losses", "olny=pairs", "expected words key=value, with keys only, folder; got olny=pairs"),
        ("plot_benchmark", "docs", "expected words key=value, with keys folder; got docs"),
        ("plot_benchmark", "folder=nowhere", ".* No such file or directory: 'nowhere/benchmark.csv'"),
        ("benchmark", "sizes=[128]", "sizes must be numbers of rows, as 128,512; got '.128.'"),
        ("benchmark", "only=tripplet", "no loss or miner is named tripplet"),
        ("benchmark_search", "problems=[milion]", "problems must be of .*, million; got milion"),
        ("benchmark_search", "engines=[fais", r"engines cannot be read; .*; got '.fais'"),
        ("benchmark_training", "turns=few", "turns must be a whole number; got 'few'"),
    ],
)
def test_wrong_words_are_answered_in_one_line(script, tmp_path, monkeypatch, program, word, message):
    monkeypatch.chdir(tmp_path)
    done = script(program, word)
    assert done.returncode == 2 and re.fullmatch(rf"{program}.py: error: {message}\n", done.stderr), done.stderr


@pytest.mark.slow
def test_the_benchmark_measures_two_losses(tmp_path):
    done = run("benchmark", "only=contrastive,triplet", "sizes=16", "turns=2", "peer=false", f"folder={tmp_path}")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "benchmark.csv", newline="") as file:
        floor, *rows = csv.DictReader(file)
    assert floor["subject"] == "floor" and float(floor["matrices"]) > 0
    assert [(row["subject"], row["layout"], row["size"]) for row in rows] == [
        (loss, layout, "16") for loss in ("contrastive", "triplet") for layout in ("4 per class", "10 classes")
    ]
    for row in rows:
        assert float(row["ratio"]) > 0 and float(row["floor_ms"]) > 0 and row["retraces"] == "0", row
        assert row["compiled"] in ("graph", "xla") and row["family"] == "tuples" and row["note"] == ""
    assert "bars missed" in done.stdout
    with Image.open(tmp_path / "benchmark.png") as picture:
        assert picture.width == 1400


def test_a_subject_that_fails_is_reported_and_no_more(benchmark):
    rows = benchmark.measure("contrastive", "no_such_miner", [16], 1, 60.0, 1.0, with_peer=False)
    assert len(rows) == 2 and all("no_such_miner" in row["note"] and "ratio" not in row for row in rows)


def test_a_subject_that_does_not_answer_in_time_is_stopped(benchmark):
    worker = benchmark.Worker(0.05, loss="triplet", miner="none")
    with pytest.raises(RuntimeError, match="no answer within"):
        worker.ask(do="choose", size=16)
    assert worker.stopped and worker.process.returncode is not None


def test_sizes_that_would_take_too_long_are_foreseen(benchmark):
    assert benchmark.predict([], 128) == 0.0
    assert benchmark.predict([(128, 1.0)], 512) == pytest.approx(16.0)
    assert benchmark.predict([(128, 1.0), (256, 8.0)], 512) == pytest.approx(64.0)
    assert benchmark.predict([(128, 1.0), (256, 1.0)], 512) == pytest.approx(4.0)
    assert benchmark.predict([(128, 1.0), (256, float("inf"))], 512) == float("inf")


def test_the_verdict_names_what_misses_its_bar(benchmark):
    good = {"subject": "good", "layout": "4 per class", "size": 1024, "bar": 3.0, "ratio": 2.9, "matrices": 15.0}
    slow = good | {"subject": "slow", "ratio": 3.1}
    large = good | {"subject": "large", "matrices": 17.0}
    retraced = good | {"subject": "retraced", "retraces": 1}
    missing = {"subject": "missing", "layout": "10 classes", "size": 1024, "bar": 3.0, "note": "no answer"}
    peers = [good | {"speed_up": value, "peer": "Peer", "subject": f"peer {value}"} for value in (0.5, 8.0)]
    said = benchmark.summary([good, slow, large, retraced, missing, *peers])
    assert said.startswith("5 bars missed:")
    for name in ("slow", "large", "retraced", "missing", "peer 0.5"):
        assert f"  {name}, " in said
    assert "good" not in said and "peer 8.0" not in said and "geometric mean 2.0 of 2" in said


def test_peers_and_kinds_name_what_there_is(benchmark):
    subject = load("benchmark_subject")
    miners = {path.stem for path in (ROOT / "conf/miner").glob("*.yaml")}
    assert set(subject.PEER_LOSSES) | benchmark.SORTING_LOSSES | benchmark.INVERTING_LOSSES <= set(LOSSES)
    assert set(subject.PEER_MINERS) | benchmark.SORTING_MINERS <= miners
    usual = benchmark.USUAL_MINERS
    assert benchmark.subjects("")[: len(LOSSES)] == [(loss, usual.get(loss, "none")) for loss in LOSSES]
    assert set(usual) <= set(LOSSES) and set(usual.values()) <= miners
    assert benchmark.subjects("semi_hard,cosine") == [("cosine", "none"), ("triplet", "semi_hard")]
    with pytest.raises(ValueError, match="no loss or miner is named tripplet"):
        benchmark.subjects("tripplet")


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_tells_its_use(script, program):
    done = script(program, "--help")
    assert done.returncode == 0 and f"python scripts/{program}.py" in done.stdout and done.stderr == ""


DRAWING = ["plot_benchmark", "plot_losses"]  # by TensorFlow and Matplotlib, which stand at their top


@pytest.mark.parametrize("program", sorted(set(PROGRAMS) - {*DRAWING, "build_emoji"}))  # which takes a folder
def test_help_and_misspelt_words_are_answered_without_tensorflow(program, tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('TensorFlow takes seconds')", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    for words, code in (["--help"], 0), (["nonsense=1"], 2), (["nonsense"], 2), (["a=1", "a=2"], 2):
        command = [sys.executable, str(ROOT / f"scripts/{program}.py"), *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        if code:
            assert re.fullmatch(rf"{program}.py: error: .*{words[-1].partition('=')[0]}.*\n", done.stderr), done.stderr
        else:
            assert f"python scripts/{program}.py" in done.stdout and done.stderr == ""


def test_planted_swaps_are_pairs_of_two_classes():
    swap = load("benchmark_labels").swap
    labels = np.repeat(np.arange(50), 6)
    swapped = swap(labels, 0.1, seed=3)
    assert (swapped != labels).sum() == 30 and sorted(swapped) == sorted(labels)
    assert (swap(labels, 0.1, seed=3) == swapped).all() and (swap(labels, 0.1, seed=4) != swapped).any()


def test_a_ranking_of_suspicious_labels_is_measured_by_hand():
    measures = load("benchmark_labels").measures
    true = {name: name.upper() for name in "abcdefgh"}
    given = true | {"a": "B", "b": "A", "c": "D", "d": "C"}
    found = measures([("a", "A", 0.9), ("e", "X", 0.8), ("b", "C", 0.7), ("c", "C", 0.5)], true, given)
    assert (found["listed"], found["precision of the listed"], found["recall of the listed"]) == (3, 2 / 3, 0.5)
    assert found["true label proposed"] == 0.5  # of a and b
    assert found["average precision"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 4)
    assert [found[f"precision at recall {at}"] for at in (0.3, 0.5, 0.7)] == [0.75, 0.75, 0.75]
