"""Judges a finished run, on its own data again or on any other; a saved Keras model; or vectors with labels.

    python scripts/evaluate.py run=outputs/RUN                               # the run's own evaluation, repeated
    python scripts/evaluate.py run=outputs/RUN "evaluation.ks=[1,10,100]"
    python scripts/evaluate.py run=outputs/RUN data.root=DIR                 # the same data, which lie elsewhere now
    python scripts/evaluate.py run=outputs/RUN "trusted=[mynet]"             # of an encoder of your own, or anybody's
    python scripts/evaluate.py run=outputs/RUN data=image_folder data.root=DIR
    python scripts/evaluate.py model=FILE.keras data=image_folder data.root=DIR data.image_size=96
    python scripts/evaluate.py vectors=FILE.npz "evaluation.metrics=[recall@k,map]"
    python scripts/evaluate.py vectors=QUERIES.npy labels=FILE.txt gallery=GALLERY.npy gallery_labels=FILE.txt

Prints a table of scores and, unless the evaluation is the run's own, their 95 % intervals. Repeating a run, it checks
that the scores are those of its metrics.json; data that have changed since are judged as they are now, with a warning.

    data=...                as in train.py; split=test (the default), validation, train, or all: the items of all splits
    vectors=FILE            .npz, .npy or Parquet; labels, ids, groups, levels: what is called so in it, a name in it,
                            or a file beside it: .npy, or a text with one in each line
    gallery=FILE            is searched, with gallery_labels and so on; without it vectors are searched in themselves
    evaluation.KEY=VALUE    as in conf/evaluation/exact.yaml
    json=FILE               writes the scores and intervals there
    report=FOLDER           writes a page there, index.html, and pictures: what was found, and where it goes wrong
"""

import json
import pathlib
import sys
import types

import hydra
from omegaconf import OmegaConf

import metric_learning
from metric_learning.command_line import start_script

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLUMNS = ("labels", "ids", "groups", "levels")
WORDS = ("run", "model", "vectors", "gallery", "split", "json", "report", "trusted", "evaluation")
WORDS += (*COLUMNS, *(f"gallery_{name}" for name in COLUMNS))


def main(arguments):
    data = [word for word in arguments if word.split("=")[0] == "data" or word.startswith("data.")]
    options = OmegaConf.merge(
        dict.fromkeys(WORDS) | {"evaluation": {}, "trusted": [], "split": "test"},
        OmegaConf.from_dotlist([word for word in arguments if word not in data]),
    )
    unknown = set(options) - set(WORDS)
    given = [name for name in ("run", "model", "vectors") if options[name] is not None]
    if unknown or len(given) != 1 or (given == ["model"] and not data) or (given == ["vectors"] and data):
        raise ValueError(
            "expected run=FOLDER, model=FILE with data=..., or vectors=FILE, and if wanted data=..., "
            f"evaluation.KEY=VALUE and others of --help; got {' '.join(arguments) or 'nothing'}"
        )
    if options.split not in ("train", "validation", "test", "all"):
        raise ValueError(f"split must be one of train, validation, test, all; got {options.split!r}")
    metric_learning.import_tensorflow()
    if given == ["vectors"]:
        finish(judge_vectors(options), options)
    elif given == ["run"] and not any(word.startswith("data=") for word in data):
        judge_again(options, data)
    else:
        finish(judge_data(options, data), options)


def judge_again(options, moved):
    """The evaluation of a run, as it was or with other settings."""
    folder, cfg = run_of(options, moved)
    from metric_learning import command_line
    from metric_learning.report import run_table

    judge, encoder = command_line.build(settings(cfg.evaluation, options.evaluation)), encoder_of(folder, cfg)
    source = command_line.build(cfg.data)
    if source.vocabulary is not None and source.vocabulary != vocabulary_of(folder):
        raise ValueError(f"the data have changed: their vocabulary is not that of {folder}/vocabulary.json")
    changes = source.changes_since(folder)
    if changes:
        print(f"warning: the data have changed since {folder} began: {changes}", file=sys.stderr)
    judged = [judge(encoder, source, split_name) for split_name in ("validation", "test")]
    scores = {name: score for each in judged for name, score in each.scores.items()}
    if options.report is not None:
        show_run(options.report, folder, cfg, source, dict(zip(("validation", "test"), judged, strict=True)))
    intervals = {name: bounds for each in judged for name, bounds in each.intervals().items()}
    if options.evaluation:
        print(run_table(scores | {"intervals": intervals}))
        write(options, scores, intervals)
        return
    saved = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    print(run_table(saved | scores | {"intervals": intervals}))
    different = [name for name, value in scores.items() if not same(saved.get(name), value)]
    if different:
        raise ValueError(f"{', '.join(different)} differ from {folder}/metrics.json")
    print(f"the same, to the last digit, as in {folder}/metrics.json")
    write(options, scores, intervals)


def show_run(report, folder, cfg, source, judged):
    """The report of a run as it is judged now, with the threshold that it may have been given since."""
    import csv

    from metric_learning.report import report_run

    with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
        history = list(csv.DictReader(file))
    settings = {"distance": cfg.distance, "objective": cfg.objective, "title": f"{source.name} test, {folder.name}"}
    print(f"the report is {report_run(report, source, judged, run=folder, history=history, **settings)['page']}")


def judge_data(options, data):
    """Of a run or a model: scores and intervals on any data source, and the items for a report."""
    from metric_learning import command_line
    from metric_learning.encoder_files import read_about
    from metric_learning.evaluation import embed, evaluate_variants

    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = hydra.compose("config", overrides=data)
    folder, run = run_of(options) if options.run is not None else (None, None)
    encoder = encoder_of(folder, run) if folder else saved_model(options.model)
    shape = tuple(read_about(folder)["input_shape"]) if folder else encoder.input_shape[1:]
    if "image_size" in cfg.data and len(shape) == 3 and None not in shape:
        if not any(word.startswith("data.image_size=") for word in data):
            cfg.data.image_size = list(shape[:2])
        if "channels" in cfg.data and not any(word.startswith("data.channels=") for word in data):
            cfg.data.channels = shape[2]
    given = run.evaluation if run else OmegaConf.merge(cfg.evaluation, {"distance": "cosine"})
    judge, source = command_line.build(settings(given, options.evaluation)), command_line.build(cfg.data)
    if folder and source.vocabulary is not None:
        source = spelled(source, vocabulary_of(folder))
    print(source.describe())
    if options.split == "test":
        judged = judge(encoder, source, "test")
        shown = {"split": source.test, "embeddings": judged.embeddings, "class_names": source.class_names}
        shown |= {"gallery": source.gallery, "gallery_embeddings": judged.gallery_embeddings}
        return judged.evaluation, judged.drawn, shown | titles(source, judge, "test")
    if options.report is not None and options.split == "all":
        raise ValueError("report shows one split: split=test, validation or train; got split=all")
    splits = list(source.splits.values()) if options.split == "all" else [getattr(source, options.split)]
    given = {"labels": [label for split in splits for label in split.labels.tolist()]}
    for name in ("ids", "groups"):
        columns = [getattr(split, name) for split in splits]
        given[name] = None if None in columns else [each for column in columns for each in column]
    rows = [embed(encoder, split.inputs, judge.batch_size, memory=judge.memory) for split in splits]
    shown = {"split": splits[0], "embeddings": rows[0], "class_names": source.class_names}
    found = evaluate_variants([row for each in rows for row in each], **given, **ways(judge))
    return found, "classes", shown | titles(source, judge, options.split)


def titles(source, judge, split_name):
    from metric_learning.report import Background

    settings = {"distance": judge.distance, "title": f"{source.name} {split_name}"}
    return settings | {"background": Background(about=source.describe())}


def judge_vectors(options):
    """Scores and intervals of vectors."""
    from metric_learning import command_line
    from metric_learning.evaluation import evaluate_variants, read_vectors

    cfg = OmegaConf.load(ROOT / "conf" / "evaluation" / "exact.yaml")
    judge = command_line.build(settings(OmegaConf.merge(cfg, {"distance": "cosine"}), options.evaluation))
    found = read_vectors(options.vectors, **{name: options[name] for name in COLUMNS})
    given = {"embeddings": found.pop("vectors")} | found
    if options.gallery is not None:
        named = {name: options[f"gallery_{name}"] for name in COLUMNS}
        searched = read_vectors(options.gallery, "gallery", **named)
        given |= {"gallery_embeddings": searched.pop("vectors")}
        given |= {f"gallery_{name}": column for name, column in searched.items()}
    found = evaluate_variants(**given, **ways(judge))
    return found, "classes", None if options.report is None else shown_vectors(given, options, judge.distance)


def shown_vectors(given, options, distance):
    """Vectors as the items of a report: their ids are all that there is to show of them."""
    import numpy as np

    from metric_learning.labels import label_array

    sides = [prefix for prefix in ("", "gallery_") if f"{prefix}embeddings" in given]
    labels = [label_array(given[f"{prefix}labels"]) for prefix in sides]
    names = None
    if labels[0].ndim == 2:
        labels = [column > 0 for column in labels]
    else:
        names, numbers = np.unique(np.concatenate(labels).astype(str), return_inverse=True)
        labels = np.split(numbers.reshape(-1), [len(labels[0])])
    items = []
    for prefix, numbers in zip(sides, labels, strict=False):
        rows, ids = given[f"{prefix}embeddings"], given.get(f"{prefix}ids")
        captions = [f"row {row}" for row in range(len(rows))] if ids is None else list(map(str, ids))
        items.append(types.SimpleNamespace(inputs=rows, labels=numbers, captions=captions, ids=ids))
    shown = {"split": items[0], "embeddings": given["embeddings"], "class_names": names, "distance": distance}
    if len(items) > 1:
        shown |= {"gallery": items[1], "gallery_embeddings": given["gallery_embeddings"]}
    return shown | {"title": pathlib.Path(options.vectors).name}


def ways(judge):
    """How a judge judges, as `evaluate_variants` takes it."""
    names = ("ks", "metrics", "distance", "engine", "prefixes", "quantizations", "expand", "rerank")
    return {name: getattr(judge, name) for name in names}


def run_of(options, moved=()):
    folder = pathlib.Path(options.run)
    if not (folder / "metrics.json").exists():
        raise ValueError(f"run must be the folder of a finished run; there is no metrics.json in {folder}")
    from metric_learning import command_line

    return folder, command_line.load(folder / "config.yaml", options.trusted, moved)


def settings(evaluation, wanted):
    from metric_learning import command_line

    unknown = set(wanted) - set(evaluation)
    if unknown:
        raise ValueError(f"evaluation has {', '.join(evaluation)}; got {', '.join(sorted(unknown))}")
    command_line.check_settings(*(OmegaConf.to_container(each) for each in (wanted, evaluation)), "evaluation")
    return OmegaConf.merge(evaluation, wanted)


def encoder_of(folder, cfg):
    import keras
    import tensorflow as tf

    from metric_learning.encoders.custom import find

    tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(cfg.precision)
    if "target" in cfg.encoder:  # which Keras has to know the layers of
        find(cfg.encoder.target)
    return keras.models.load_model(folder / "encoder.keras")


def saved_model(path):
    import keras

    import metric_learning.encoders  # noqa: F401  whose layers Keras has to know

    if not pathlib.Path(path).exists():
        raise ValueError(f"model must be a .keras file; there is no {path}")
    return keras.models.load_model(path)


def vocabulary_of(folder):
    from metric_learning.data import Vocabulary

    return Vocabulary.load(folder / "vocabulary.json")


def spelled(source, vocabulary):
    """The same texts in the words of the vocabulary that the encoder knows."""
    import dataclasses

    def of(split):
        return split and dataclasses.replace(split, inputs=vocabulary.encode(split.captions), contents=None)

    names = ("train", "validation", "test", "gallery")
    splits = {name: of(getattr(source, name)) for name in names}
    return types.SimpleNamespace(
        **splits,
        unseen_classes=source.unseen_classes,
        describe=source.describe,
        splits={name: split for name, split in splits.items() if split},
    )


def finish(judged, options):
    from metric_learning.report import scores_table

    evaluation, drawn, shown = judged
    bounds = evaluation.intervals(over=drawn)
    ends = {name: {key: pair[i] for key, pair in bounds.items()} for i, name in enumerate(("2.5 %", "97.5 %"))}
    columns = {"score": evaluation.scores} | ends
    print(scores_table(columns))
    write(options, evaluation.scores, bounds)
    if options.report is not None:
        from metric_learning.report import write_report

        paths = write_report(options.report, evaluation=evaluation, drawn=drawn, **shown)
        print(f"the report is {paths['page']}")


def write(options, scores, bounds):
    if options.json is not None:
        from metric_learning.whole_files import write_json

        write_json(options.json, dict(scores) | {"intervals": {name: list(pair) for name, pair in bounds.items()}})
        print(f"written to {options.json}")


def same(saved, score):
    return saved == score or (saved != saved and score != score)  # NaN is NaN


if __name__ == "__main__":
    start_script(main, __doc__)
