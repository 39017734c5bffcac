"""Judges a finished run, on its own data again or on any other; a saved Keras model; or vectors with labels.

    python scripts/evaluate.py run=outputs/RUN                               # the run's own evaluation, repeated
    python scripts/evaluate.py run=outputs/RUN "evaluation.ks=[1,10,100]"
    python scripts/evaluate.py run=outputs/RUN data.root=DIR                 # the same data, which lie elsewhere now
    python scripts/evaluate.py run=outputs/RUN split=train                   # of its own data that split alone
    python scripts/evaluate.py run=outputs/RUN "trusted=[mynet]"             # of an encoder of your own, or anybody's
    python scripts/evaluate.py run=outputs/RUN data=image_folder data.root=DIR
    python scripts/evaluate.py model=FILE.keras data=image_folder data.root=DIR data.image_size=96
    python scripts/evaluate.py vectors=FILE.npz "evaluation.metrics=[recall@k,map]"
    python scripts/evaluate.py vectors=QUERIES.npy labels=FILE.txt gallery=GALLERY.npy gallery_labels=FILE.txt

Prints a table of scores and, unless the evaluation is the run's own, their 95 % intervals. Repeating a run, it checks
that the scores are those of its metrics.json; data that have changed since are judged as they are now, with a warning.

    data=...                as in train.py
    split=...               test (of other data the default), validation, train, or all: the items of all splits
    vectors=FILE            .npz, .npy or Parquet; labels, ids, groups, levels: what is called so in it, a name in it,
                            or a file beside it: .npy, or a text with one in each line
    gallery=FILE            is searched, with gallery_labels and so on; without it vectors are searched in themselves
    evaluation.KEY=VALUE    as in conf/evaluation/exact.yaml
    out=FILE.json           writes the scores and intervals there
    report=FOLDER           writes a page there, index.html, and pictures: what was found, and where it goes wrong
"""

import csv
import pathlib
import sys
import types

import hydra
from omegaconf import OmegaConf

import metric_learning
from metric_learning.command_line import build, check_settings, shipped, start_script, words_of
from metric_learning.run_configuration import load

CONF = str(pathlib.Path(__file__).resolve().parent.parent / "conf")
COLUMNS = ("labels", "ids", "groups", "levels")
WORDS = {"run": None, "model": None, "vectors": None, "gallery": None, "split": None, "out": None, "report": None}
WORDS |= dict.fromkeys([*COLUMNS, *(f"gallery_{name}" for name in COLUMNS)])


def main(arguments):
    data = [word for word in arguments if word.split("=")[0] == "data" or word.startswith("data.")]
    options = words_of([word for word in arguments if word not in data], **WORDS, trusted=[], evaluation={})
    given = [name for name in ("run", "model", "vectors") if options[name] is not None]
    if len(given) != 1 or (given == ["model"] and not data) or (given == ["vectors"] and data):
        raise ValueError(
            "expected run=FOLDER, model=FILE with data=..., or vectors=FILE, and if wanted data=..., "
            f"evaluation.KEY=VALUE and others of --help; got {' '.join(arguments) or 'nothing'}"
        )
    beside = [name for name in WORDS if name.startswith(("gallery", *COLUMNS)) and options[name] is not None]
    if given != ["vectors"] and beside:
        raise ValueError(f"{', '.join(beside)} go with vectors=FILE alone")
    if given == ["vectors"] and options.split is not None:
        raise ValueError(f"split is of data, and vectors have none; got {options.split!r}")
    if options.split not in (None, "train", "validation", "test", "all"):
        raise ValueError(f"split must be one of train, validation, test, all; got {options.split!r}")
    if options.report is not None and options.split == "all":
        raise ValueError("report shows one split: split=test, validation or train; got split=all")
    if options.out is not None and not options.out.endswith(".json"):
        raise ValueError(f"out must end in .json; got {options.out}")
    if given == ["vectors"]:
        finish(*judge_vectors(options), options)
    elif given == ["run"] and is_its_own(data) and options.split is None:
        judge_again(options, data)
    else:
        finish(*judge_data(options, data), options)


def is_its_own(data):
    """Whether words data.KEY=VALUE are about the data of a run, and not about others, which data= names."""
    return not any(word.startswith("data=") for word in data)


def judge_again(options, moved):
    """The evaluation of a run, as it was or with other settings."""
    folder, cfg = run_of(options, moved)
    judge = judge_of(cfg.evaluation, options)
    from metric_learning.report import run_table
    from metric_learning.tokenized import what_trains
    from metric_learning.training import start_afresh

    start_afresh(cfg.seed, cfg.precision)
    encoder = metric_learning.load(folder, trusted=options.trusted)
    source = build(cfg.data)
    numbered = source.columns if source.vocabulary is None else source.vocabulary
    if encoder.vocabulary not in (None, numbered):
        kept = "columns.json" if encoder.columns else "vocabulary.json"
        raise ValueError(f"the data have changed: they do not give {folder}/{kept}, by which their encoder reads them")
    tell_changes(source, folder)
    # By the same part of the encoder as in training, so that not even the last bit differs.
    frozen = cfg.frozen_features and build(cfg.augmentation) is None
    model, data = what_trains(encoder.model, source, frozen=frozen)
    judged = {name: judge(model, data, name) for name in ("validation", "test")}
    scores = {name: score for each in judged.values() for name, score in each.scores.items()}
    if options.report is not None:
        show_run(options.report, folder, cfg, source, judged)
    intervals = {name: bounds for each in judged.values() for name, bounds in each.intervals().items()}
    if options.evaluation:
        print(run_table(scores | {"intervals": intervals}))
        write(options, scores, intervals)
        return
    print(run_table(encoder.scores | scores | {"intervals": intervals}))
    write(options, scores, intervals)
    different = [name for name, value in scores.items() if not same(encoder.scores.get(name), value)]
    if different:
        raise ValueError(f"{', '.join(different)} differ from {folder}/metrics.json")
    print(f"the same, to the last digit, as in {folder}/metrics.json")


def tell_changes(source, folder):
    changes = source.changes_since(folder)
    if changes:
        print(f"warning: the data have changed since {folder} began: {changes}", file=sys.stderr)


def show_run(report, folder, cfg, source, judged):
    """The report of a run as it is judged now, with the threshold that it may have been given since."""
    from metric_learning.report import report_run

    with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
        history = list(csv.DictReader(file))
    settings = {"distance": cfg.distance, "objective": cfg.objective, "title": f"{source.name} test, {folder.name}"}
    print(f"the report is {report_run(report, source, judged, run=folder, history=history, **settings)['page']}")


def judge_data(options, data):
    """Of a run or a model: scores and intervals on a split of any data source, and the items for a report."""
    own = options.run is not None and is_its_own(data)
    run = None if options.run is None else run_of(options, data if own else ())[1]
    if own:
        cfg = run
    else:
        with hydra.initialize_config_dir(CONF, version_base="1.3"):
            cfg = hydra.compose("config", overrides=data)
            check_settings(*(OmegaConf.to_container(each, resolve=True) for each in (cfg, shipped(data))))
    judge = judge_of(run.evaluation if run else OmegaConf.merge(cfg.evaluation, {"distance": "cosine"}), options)
    from metric_learning.encoders import tokenizer_of
    from metric_learning.encoders.saved import load_safely
    from metric_learning.report import Background
    from metric_learning.tokenized import respelled, tokenized

    if run:
        encoder = metric_learning.load(options.run, trusted=options.trusted)
        model, known, shape = encoder.model, encoder.vocabulary, encoder.input_shape
    else:
        model, known = load_safely("model", pathlib.Path(options.model).expanduser()), None
        shape = model.input_shape[1:]
    taken = {"image_size": list(shape[:2]), "channels": shape[2]} if len(shape) == 3 and None not in shape else {}
    taken |= {"fit": encoder.fit} if run and encoder.kind == "images" else {}
    given = {word.partition("=")[0] for word in data}
    cfg.data.update({name: taken[name] for name in taken if name in cfg.data and f"data.{name}" not in given})
    source = build(cfg.data)
    print(source.describe())
    if own:
        tell_changes(source, options.run)
    if run and source.kind != encoder.kind:
        raise ValueError(f"the encoder of {options.run} takes {encoder.kind}; {source.name} has {source.kind}")
    if not run and source.kind in ("texts", "ids") and tokenizer_of(model) is None:
        raise ValueError(f"model must take {source.kind} as they are; only its run knows the ids of {options.model}")
    model, source = tokenized(model, respelled(source, known))
    if options.split == "all":
        return *judge_all(judge, model, source), None
    split = options.split or "test"
    judged = judge(model, source, split)
    shown = {"split": getattr(source, split), "embeddings": judged.embeddings}
    if judged.gallery_embeddings is not None:
        shown |= {"gallery": source.gallery, "gallery_embeddings": judged.gallery_embeddings}
    shown |= {"class_names": source.class_names, "background": Background(about=source.describe())}
    title = f"{source.name} {split}"
    return judged.evaluation, judged.drawn, shown | {"distance": judge.distance, "title": title}


def judge_all(judge, model, source):
    """The items of all splits, each a query to all others."""
    import numpy as np

    from metric_learning.evaluation import embed, evaluate_variants

    splits = list(source.splits.values())
    columns = {name: [getattr(split, name) for split in splits] for name in COLUMNS}
    given = {
        name: None if any(each is None for each in parts) else np.concatenate([np.asarray(each) for each in parts])
        for name, parts in columns.items()
    }
    options = {"memory": judge.memory, "progress": True}
    rows = np.concatenate([embed(model, split.inputs, judge.batch_size, **options) for split in splits])
    return evaluate_variants(rows, **given, **ways(judge)), "classes" if source.unseen_classes else "queries"


def judge_vectors(options):
    """Scores and intervals of vectors."""
    cfg = OmegaConf.load(f"{CONF}/evaluation/exact.yaml")
    judge = judge_of(OmegaConf.merge(cfg, {"distance": "cosine"}), options)
    from metric_learning.evaluation import evaluate_variants, read_vectors

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
    return folder, load(folder / "config.yaml", options.trusted, moved)


def judge_of(evaluation, options):
    """The `Judge` of a configuration, with what the command line wants otherwise."""
    unknown = set(options.evaluation) - set(evaluation)
    if unknown:
        raise ValueError(f"evaluation has {', '.join(evaluation)}; got {', '.join(sorted(unknown))}")
    check_settings(*(OmegaConf.to_container(each) for each in (options.evaluation, evaluation)), "evaluation")
    for path in (options.out, options.report):  # where nothing can be written, before hours of work
        if path is not None:
            pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    metric_learning.import_tensorflow()
    return build(OmegaConf.merge(evaluation, options.evaluation))


def finish(evaluation, drawn, shown, options):
    from metric_learning.report import scores_table, write_report

    bounds = evaluation.intervals(over=drawn)
    columns = {"score": evaluation.scores}
    columns |= {name: {key: pair[i] for key, pair in bounds.items()} for i, name in enumerate(("2.5 %", "97.5 %"))}
    print(scores_table(columns))
    write(options, evaluation.scores, bounds)
    if options.report is not None:
        paths = write_report(options.report, evaluation=evaluation, drawn=drawn, **shown)
        print(f"the report is {paths['page']}")


def write(options, scores, bounds):
    if options.out is not None:
        from metric_learning.whole_files import write_json

        write_json(options.out, dict(scores) | {"intervals": {name: list(pair) for name, pair in bounds.items()}})
        print(f"written to {options.out}")


def same(saved, score):
    return saved == score or (saved != saved and score != score)  # NaN is NaN


if __name__ == "__main__":
    start_script(main, __doc__)
