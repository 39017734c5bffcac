"""The house: who may import whom, what may be called what, how long a file may be."""

import ast
import importlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FLOOR_1 = {
    f"metric_learning.{name}"
    for name in (
        "arrow_vectors",
        "cache_dir",
        "checks",
        "cores",
        "distances",
        "equal_rows",
        "labels",
        "penalties",
        "read_ahead",
        "relations",
        "steps",
        "tuples",
        "types",
        "versions",
        "whole_files",
        "xla",
    )
}
# What each part may import of the project, besides itself. A new part must be given its place here.
MAY_IMPORT = {
    # For Keras to know their layers, and what a user holds after training, once it is asked for.
    "metric_learning": {
        *("metric_learning.encoder", "metric_learning.encoders", "metric_learning.index", "metric_learning.penalties")
    },
    "metric_learning.answers": set(),
    "metric_learning.command_line": FLOOR_1
    | {
        "metric_learning.answers",
        "metric_learning.run_configuration",
        "metric_learning.run_folder",
        "metric_learning.settings",
    },
    "metric_learning.arrow_vectors": set(),
    "metric_learning.cache_dir": set(),
    "metric_learning.checks": FLOOR_1,
    "metric_learning.cores": set(),
    "metric_learning.distances": FLOOR_1,
    "metric_learning.equal_rows": FLOOR_1,
    "metric_learning.labels": FLOOR_1,
    "metric_learning.penalties": FLOOR_1,
    "metric_learning.read_ahead": FLOOR_1,
    "metric_learning.relations": FLOOR_1,
    "metric_learning.steps": FLOOR_1,
    "metric_learning.tuples": FLOOR_1,
    "metric_learning.types": set(),
    "metric_learning.versions": set(),
    "metric_learning.whole_files": set(),
    "metric_learning.xla": FLOOR_1,
    "metric_learning.losses": FLOOR_1,
    "metric_learning.encoders": FLOOR_1,
    "metric_learning.data": FLOOR_1,
    "metric_learning.evaluation": FLOOR_1,
    "miners": FLOOR_1,
    "metric_learning.frozen_features": FLOOR_1
    | {"metric_learning.data", "metric_learning.encoders", "metric_learning.evaluation"},
    "metric_learning.run_configuration": {"metric_learning.run_folder", "metric_learning.settings"},
    "metric_learning.run_folder": {"metric_learning.versions"},
    "metric_learning.settings": set(),
    "metric_learning.optimizers": set(),
    "metric_learning.training": FLOOR_1
    | {"metric_learning.data", "metric_learning.encoders", "metric_learning.optimizers", "metric_learning.run_folder"},
    "metric_learning.tokenized": {
        "metric_learning.data",
        "metric_learning.encoders",
        "metric_learning.frozen_features",
    },
    "metric_learning.report": FLOOR_1 | {"metric_learning.evaluation"},
    "metric_learning.tracking": FLOOR_1,
    "metric_learning.index": FLOOR_1
    | {"metric_learning.data", "metric_learning.evaluation", "metric_learning.run_folder"},
    "metric_learning.encoder_files": FLOOR_1,
    "metric_learning.export": FLOOR_1
    | {
        "metric_learning.data",
        "metric_learning.encoder",
        "metric_learning.encoder_files",
        "metric_learning.encoders",
    },
    "metric_learning.encoder": FLOOR_1
    | {
        "metric_learning.data",
        "metric_learning.encoder_files",
        "metric_learning.encoders",
        "metric_learning.evaluation",
        "metric_learning.index",
    },
    "metric_learning.serving": FLOOR_1 | {"metric_learning.data", "metric_learning.encoder", "metric_learning.index"},
}
# Nothing imports these.
PROGRAMS = {"train", "scripts"}
FENCES = {
    "hydra": {"train.py", "scripts", "metric_learning/answers.py", "metric_learning/command_line.py"},
    "omegaconf": {
        "train.py",
        "scripts",
        "metric_learning/answers.py",
        "metric_learning/command_line.py",
        "metric_learning/run_configuration.py",
    },
    "wandb": {"metric_learning/tracking.py"},
    "fastapi": {"metric_learning/serving/app.py", "metric_learning/serving/pages.py"},
    "uvicorn": {"metric_learning/serving/server.py"},
    "faiss": {
        "metric_learning/evaluation/search.py",
        "metric_learning/index/approximate_search.py",
        "scripts/benchmark_search.py",
    },
}
HOMELESS = {"utils", "util", "common", "helpers", "helper", "base", "misc", "tools"}


def sources(*folders):
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    return sorted(str(file.relative_to(ROOT)) for file in files)


LIBRARY = sources("metric_learning", "miners")
PROGRAM_FILES = ["train.py", *sources("scripts")]
TESTS = sources("tests")


def module_of(file):
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def part_of(module):
    """`metric_learning.losses` of `metric_learning.losses.triplet`; `miners` of `miners.semi_hard`."""
    names = module.split(".")
    return ".".join(names[:2] if names[0] == "metric_learning" else names[:1])


def imports_of(source):
    """Dotted names that a source imports anywhere; of `from a import b` both `a` and `a.b`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def project_parts_of(source):
    parts = {part_of(name) for name in imports_of(source) if name.split(".")[0] in {"metric_learning", "miners"}}
    # The package alone, and a name that is none of its parts, stand for its __init__.
    return {part for part in parts if part in MAY_IMPORT} - {"metric_learning"}


def test_the_walk_sees_every_kind_of_import():
    source = "import a.b as c\nfrom d import e\ndef f():\n    from metric_learning import losses, distances\n"
    assert imports_of(source) >= {"a.b", "d", "d.e", "metric_learning.losses"}
    assert project_parts_of(source) == {"metric_learning.losses", "metric_learning.distances"}
    assert project_parts_of("import miners.semi_hard\nimport metric_learning.data.text") == {
        "miners",
        "metric_learning.data",
    }


def test_every_part_has_its_place():
    assert {part_of(module_of(file)) for file in LIBRARY} == set(MAY_IMPORT)


@pytest.mark.parametrize("file", LIBRARY)
def test_imports_only_what_its_floor_may(file):
    part = part_of(module_of(file))
    source = (ROOT / file).read_text()
    assert project_parts_of(source) <= MAY_IMPORT[part] | {part}
    assert not {name.split(".")[0] for name in imports_of(source)} & (PROGRAMS | {"tests"})


@pytest.mark.parametrize("file", LIBRARY)
def test_tuples_are_used_by_their_package_and_measured_sizes_stand_in_one_place(file):
    source = (ROOT / file).read_text()
    if not file.startswith("metric_learning/tuples/"):
        inner = {name for name in imports_of(source) if name.startswith("metric_learning.tuples.")}
        modules = {module_of(module) for module in LIBRARY if module.startswith("metric_learning/tuples/")}
        assert inner & modules <= {"metric_learning.tuples.thresholds"}
    if file != "metric_learning/tuples/thresholds.py":
        targets = [target for node in ast.parse(source).body if isinstance(node, ast.Assign) for target in node.targets]
        assert not [target.id for target in targets if isinstance(target, ast.Name) and target.id.startswith("MOST_")]


@pytest.mark.parametrize("file", PROGRAM_FILES)
def test_no_program_is_imported_by_another(file):
    assert not {name.split(".")[0] for name in imports_of((ROOT / file).read_text())} & (PROGRAMS | {"tests"})


@pytest.mark.parametrize("package", FENCES)
def test_a_fenced_package_is_imported_behind_its_fence_only(package):
    importers = [
        file
        for file in LIBRARY + PROGRAM_FILES
        if package in {name.split(".")[0] for name in imports_of((ROOT / file).read_text())}
    ]
    allowed = FENCES[package]
    assert importers
    assert [file for file in importers if file not in allowed and file.split("/")[0] not in allowed] == []


@pytest.mark.parametrize("file", LIBRARY + PROGRAM_FILES + TESTS)
def test_a_file_is_short_and_lives_where_its_name_says(file):
    assert len((ROOT / file).read_text().splitlines()) <= (130 if file == "train.py" else 300)
    assert not HOMELESS & set(module_of(file).split("."))


@pytest.mark.parametrize("file", sources("metric_learning/losses"))
def test_a_loss_has_at_most_three_ancestors_in_the_project(file):
    for kind in vars(importlib.import_module(module_of(file))).values():
        if isinstance(kind, type) and kind.__module__.startswith("metric_learning"):
            of_project = [part for part in kind.__mro__[1:] if part.__module__.startswith("metric_learning")]
            assert len(of_project) <= 3, f"{kind.__name__} of {of_project}"
