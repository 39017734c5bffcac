"""How well suspicious labels are found: swaps are planted among the emoji, before training, and looked for after it.

    python scripts/benchmark_labels.py folder=DIR                  # "seeds=[0,1]" swapped=0.05 folds=4 steps=400

For each seed, 5 % of the 10,249 items, drawn from all alike, are paired at random with one of another class, and the
two exchange labels. An encoder is trained for each of four parts of the classes, by the labels as they then are, on the
other three parts: `train.py -m data=table data.folds=4 data.fold=0,1,2,3`. Each judges the items whose label is of its
own part, among all items. Printed is, for the same embeddings, what `suspicious_labels` finds and what a plain vote of
the k nearest neighbors does: the commonest label of them if that is another one, the most votes first, ties by the
distances. Runs that are in DIR already are not trained again.
"""

import csv
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image

import metric_learning
from metric_learning.command_line import build, start_script, words_of
from metric_learning.run_configuration import load

ROOT = pathlib.Path(__file__).resolve().parent.parent
VOTERS = (3, 5, 10)
RECALLS = (0.3, 0.5, 0.7)
AT_LEAST = 0.6  # as in check_labels.py


def main(arguments):
    settings = words_of(arguments, folder=None, seeds=[0, 1], swapped=0.05, folds=4, steps=400)
    if settings.folder is None or not 0 < settings.swapped < 1:
        raise ValueError("expected folder=DIR, and swapped between 0 and 1")
    metric_learning.import_tensorflow()
    folder = pathlib.Path(settings.folder)
    found = {}
    for seed in settings.seeds:
        true, given = write_table(folder, seed, settings.swapped)
        train(folder, seed, settings)
        for name, ranking in rankings(folder / f"runs{seed}").items():
            found.setdefault(name, []).append(measures(ranking, true, given))
        print_table(found)


def write_table(folder, seed, share):
    """Writes the images and a table with swapped labels; returns the true and the given labels by path."""
    from metric_learning.data import emoji

    source = emoji()
    images, labels, ids = (
        np.concatenate([np.asarray(getattr(split, name)) for split in source.splits.values()])
        for name in ("inputs", "labels", "ids")
    )
    (folder / "images").mkdir(parents=True, exist_ok=True)
    paths = [f"images/{key}.png" for key in ids]
    for path, image in zip(paths, images, strict=True):
        if not (folder / path).exists():
            Image.fromarray(image).save(folder / path)
    swapped = swap(labels, share, seed)
    with (folder / f"table{seed}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label"])
        writer.writerows((path, source.class_names[label]) for path, label in zip(paths, swapped, strict=True))
    return tuple(
        {path: source.class_names[label] for path, label in zip(paths, each, strict=True)} for each in (labels, swapped)
    )


def swap(labels, share, seed):
    """The labels, of which pairs of items have exchanged theirs: so many that this share of all is wrong."""
    order = np.random.default_rng(seed).permutation(len(labels)).tolist()
    swapped = labels.copy()
    for _ in range(round(share * len(labels) / 2)):
        one = order.pop()
        other = order.pop(next(i for i in reversed(range(len(order))) if labels[order[i]] != labels[one]))
        swapped[one], swapped[other] = labels[other], labels[one]
    return swapped


def train(folder, seed, settings):
    """Trains the encoders, unless they are there."""
    runs = folder / f"runs{seed}"
    if len(list(runs.glob("*/metrics.json"))) == settings.folds:
        return
    words = {
        "data": "table",
        "data.path": folder / f"table{seed}.csv",
        "data.folds": settings.folds,
        "data.fold": ",".join(map(str, range(settings.folds))),
        "augmentation": "drawing",
        "steps": settings.steps,
        "seed": seed,
        "tracking": "none",
        "hydra.sweep.dir": runs,
    }
    command = [sys.executable, ROOT / "train.py", "-m", *(f"{key}={value}" for key, value in words.items())]
    subprocess.run(command, check=True, cwd=ROOT)


def rankings(runs):
    """Name of a method -> (path, proposed label, score) of each item that it suspects, the surest first."""
    from metric_learning.evaluation import embed
    from metric_learning.report.suspicions import Joined, suspicions_among

    found = {}
    for folder in sorted(runs.glob("*/metrics.json")):
        encoder = metric_learning.load(folder.parent)
        source = build(load(folder.parent / "config.yaml").data)
        splits = list(source.splits.values())
        items = Joined(splits)
        rows = np.concatenate([embed(encoder.model, split.inputs) for split in splits])
        judged = np.concatenate([np.full(len(split), split is source.test) for split in splits])
        suspicions = suspicions_among(items, rows, judged, distance=encoder.distance, at_least=0.0)
        for name, triples in {
            "suspicious_labels": [(each.row, each.proposed, each.agreement) for each in suspicions],
            **{f"vote of {k}": vote(rows, items.labels, judged, k, encoder.distance) for k in VOTERS},
        }.items():
            named = [(items.captions[row], source.class_names[label], score) for row, label, score in triples]
            found.setdefault(name, []).extend(named)
    return {name: sorted(each, key=lambda triple: -triple[2]) for name, each in found.items()}


def vote(rows, labels, judged, k, distance):
    """(row, proposed label, score) of each judged row that most of its k nearest neighbors outvote."""
    from metric_learning.evaluation import search

    queries = np.flatnonzero(judged)
    options = {"distance": distance, "query_ids": queries, "gallery_ids": np.arange(len(rows))}
    near = search(rows[queries], rows, k, **options)
    found = []
    for row, labels_near, distances in zip(queries, labels[near.indices], near.distances, strict=True):
        names, votes = np.unique(labels_near, return_counts=True)
        nearest = [float(distances[labels_near == name].min()) for name in names]
        best = min(range(len(names)), key=lambda i: (-votes[i], nearest[i]))
        if names[best] != labels[row]:
            found.append((int(row), int(names[best]), votes[best] - 1e-3 * nearest[best]))
    return found


def measures(ranking, true, given):
    """What a ranking is worth: name -> number."""
    swapped = {path for path in true if true[path] != given[path]}
    hits = np.cumsum([path in swapped for path, _, _ in ranking])
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / len(swapped)
    found = {f"precision at recall {at}": precision[recall >= at].max(initial=0.0) for at in RECALLS}
    found["average precision"] = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    listed = sum(score >= AT_LEAST for *_, score in ranking)  # all, for a vote
    named = [true[path] == label for path, label, _ in ranking[:listed] if path in swapped]
    return found | {
        "listed": listed,
        "precision of the listed": precision[listed - 1],
        "recall of the listed": recall[listed - 1],
        "true label proposed": float(np.mean(named)),
    }


def print_table(found):
    """Means over the seeds so far, with the lowest and the highest."""
    names = list(next(iter(found.values()))[0])
    print(f"{len(next(iter(found.values())))} seeds: mean (lowest to highest)")
    for name in names:
        print(name)
        for method, each in found.items():
            values = [one[name] for one in each]
            digits = 0 if name == "listed" else 3
            low, high = min(values), max(values)
            print(
                f"  {method:<18} {np.mean(values):8,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})", flush=True
            )


if __name__ == "__main__":
    start_script(main, __doc__)
