"""Finds labels that look wrong: neighbors agree on one other class, by an encoder that was not trained on the label.

    python scripts/check_labels.py run=outputs/RUN                 # the validation and test items of a run

Of all items, by a run for each part of the classes, each judging the part that it was not trained on:

    python train.py -m data=table data.path=FILE data.folds=4 data.fold=0,1,2,3
    python scripts/check_labels.py runs=outputs/sweeps/SWEEP

Once labels are corrected, train again: the same encoders would judge labels that they have learned.

Writes suspicious_labels.csv, with a column "correct_label" to fill in, and suspicious_labels.png: into the folder
report of the run, the folder of the sweep, or out=FOLDER. Settings: at_least=0.6 (the agreement, from 0 to 1, from
which an item is listed), neighbors=200 (how many are looked at), trusted=[] (packages whose code is needed), and
data.KEY=VALUE, such as data.root=FOLDER where the data lie now.
"""

import pathlib
import warnings

import numpy as np

import metric_learning
from metric_learning.command_line import build, start_script, words_of
from metric_learning.run_configuration import apart, load


def main(arguments):
    arguments, moved = apart(arguments)
    settings = words_of(arguments, run=None, runs=None, out=None, at_least=0.6, neighbors=200, trusted=[])
    if (settings.run is None) == (settings.runs is None):
        raise ValueError("expected run=FOLDER, or runs=FOLDER of a sweep over data.fold")
    sweep = settings.runs is not None
    folders = runs_below(pathlib.Path(settings.runs)) if sweep else [pathlib.Path(settings.run)]

    metric_learning.import_tensorflow()
    from metric_learning.report.suspicions import moved_to, write_suspicions

    judged = ("test", "gallery") if sweep else ("validation", "test", "gallery")
    first, found, tested = None, [], {}
    for folder in folders:
        source, own_items, suspicions = judged_by(folder, settings, judged, moved)
        first = first or (own_items, source.class_names)
        items, class_names = first
        check_folds(folder, source, class_names, tested)
        tested |= dict.fromkeys(source.test.ids, folder)
        found += moved_to(items, suspicions, own_items)
        print(f"{folder}: {len(suspicions):,} suspicious labels", flush=True)
    left = len(set(items.ids) - set(tested)) if sweep else 0
    if left:
        said = f"{left:,} of {len(set(items.ids)):,} items are tested by none of these runs, and not judged"
        warnings.warn(said, stacklevel=1)
    found.sort(key=lambda each: -each.agreement)
    out = pathlib.Path(settings.out or (settings.runs if sweep else folders[0] / "report"))
    title = f"Suspicious labels, {source.name}, {pathlib.Path(settings.runs or settings.run).name}"
    picture = write_suspicions(out, items, found, class_names, title=title)["suspicious_labels"]
    print(f"{len(found):,} suspicious labels in {out / 'suspicious_labels.csv'}, with a column to correct; {picture}")


def runs_below(sweep):
    """The finished runs of a sweep, in their order."""
    finished = [path.parent for path in sweep.glob("*/metrics.json")]
    folders = sorted(finished, key=lambda path: (len(path.name), path.name))
    if not folders:
        raise ValueError(f"runs must be the folder of a sweep; there is no finished run in {sweep}")
    return folders


def judged_by(folder, settings, names, moved):
    """The data of a run, its items, and the suspicions about those of some of its splits."""
    from metric_learning.evaluation import embed
    from metric_learning.report.suspicions import Joined, suspicions_among
    from metric_learning.tokenized import tokenized

    encoder = metric_learning.load(folder, trusted=settings.trusted)
    source = build(load(folder / "config.yaml", settings.trusted, moved).data)
    if source.train.labels.ndim == 2:
        raise ValueError(f"{source.name} has rows of several labels; labels are checked where a row has one")
    changes = source.changes_since(folder)
    if changes:  # also how texts become numbers
        raise ValueError(
            f"the data have changed since {folder} began, and so may which labels its encoder has not learned; train "
            f"again: {changes}"
        )
    model, data = tokenized(encoder.model, source)
    rows = np.concatenate([embed(model, split.inputs, progress=True) for split in data.splits.values()])
    judged = np.concatenate([np.full(len(split), name in names) for name, split in source.splits.items()])
    items = Joined(list(source.splits.values()))
    options = {"at_least": settings.at_least, "neighbors": settings.neighbors, "distance": encoder.distance}
    return source, items, suspicions_among(items, rows, judged, **options)


def check_folds(folder, source, class_names, tested):
    """Raises ValueError unless a run tests on items of the same classes that no run before it did."""
    if source.class_names != class_names:
        raise ValueError(f"{folder} has other classes than the runs before it; runs must be of one data set")
    twice = [key for key in source.test.ids if key in tested]
    if twice:
        raise ValueError(
            f"{folder} and {tested[twice[0]]} both test on {len(twice):,} items; runs must be a sweep over data.fold"
        )


if __name__ == "__main__":
    start_script(main, __doc__)
