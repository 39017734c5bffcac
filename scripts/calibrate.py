"""Chooses up to which distance the nearest item is a match: on the validation split of a run, never on its test.

    python scripts/calibrate.py run=outputs/RUN precision=0.95   # so many of the matches are right
    python scripts/calibrate.py run=outputs/RUN recall=0.8       # so many of those who have something to find, do
    python scripts/calibrate.py run=outputs/RUN far=0.01         # so many of those who have nothing to find, match
    python scripts/calibrate.py run=outputs/RUN best_f1=true
    python scripts/calibrate.py run=outputs/RUN pairs=FILE far=0.01    # on your own pairs: first, second, same

The threshold is kept in thresholds.json of the run, from where match.py and indexes take it; a picture of all
thresholds is report/thresholds.png, and the page of the run, report/index.html, shows it from then on. A target is
promised with 95 % confidence for queries of new classes in a gallery like that of validation; what the same threshold
does on the test (in its gallery, if it has one) is printed too, as a check, and not chosen by.

pairs=FILE is a table with the columns first, second (image paths or texts) and same (true or false), or distance and
same; what is promised is then of two items put side by side. families=FILE, with the columns class and family, names
classes that are taken for each other, which are then what goes together. data.KEY=VALUE, such as data.root=FOLDER, says
where the data of the run lie now. trusted=[] names packages whose code the encoder or its data needs.
"""

import pathlib

import metric_learning
from metric_learning.command_line import build, start_script, words_of
from metric_learning.run_configuration import apart, load

RATES = ("precision", "recall", "far", "frr")


def main(arguments):
    words = {"run": None, "precision": None, "recall": None, "far": None, "best_f1": False}
    arguments, moved = apart(arguments)
    settings = words_of(arguments, **words, pairs=None, families=None, trusted=[])
    target = {name: settings[name] for name in ("precision", "recall", "far") if settings[name] is not None}
    if settings.best_f1:
        target["best_f1"] = True
    if settings.run is None or len(target) != 1 or (settings.pairs and settings.families):
        raise ValueError(
            "expected run=FOLDER and one of precision=0.95, recall=0.8, far=0.01 and best_f1=true, and if wanted "
            "pairs=FILE or families=FILE"
        )
    for name, value in target.items():
        if name != "best_f1" and not 0.0 < value < 1.0:
            raise ValueError(f"{name} must be between 0 and 1; got {value}")
    for name in ("pairs", "families"):
        if settings[name] is not None and not pathlib.Path(settings[name]).is_file():
            raise ValueError(f"{name} must be a table, such as a .csv file; there is none at {settings[name]}")

    metric_learning.import_tensorflow()
    from metric_learning.data.labeled_pairs import read_pairs
    from metric_learning.evaluation import calibrate, rates_at
    from metric_learning.evaluation.calibration import summary
    from metric_learning.report import PAGE, put_section
    from metric_learning.report.pictures import threshold_curves
    from metric_learning.report.sections import thresholds_section

    folder = pathlib.Path(settings.run)
    encoder = metric_learning.load(folder, trusted=settings.trusted)
    if settings.pairs:
        found, on_test = encoder.calibrate(pairs=read_pairs(settings.pairs, encoder.kind), **target), None
        title = f"{pathlib.Path(settings.pairs).name}, {folder.name}"
    else:
        source = build(load(folder / "config.yaml", settings.trusted, moved).data)
        changes = source.changes_since(folder)
        if changes:  # also which classes the encoder has learned
            raise ValueError(f"the data have changed since {folder} began, and so may what is validation: {changes}")
        if source.validation.labels.ndim > 1:
            raise ValueError(f"those of {source.name} have several labels; for these pairs=FILE says what is the same")
        families = families_of(settings.families, source.class_names)
        validation, test = on_splits(encoder, source, families)
        found = calibrate(validation, **target)
        encoder.keep_threshold(found)
        on_test = rates_at(test, found.threshold)
        title = f"{source.name} validation, {folder.name}"
    low, high = found.interval
    print(f"a match is within {found.threshold:.4f} ({encoder.distance}; {low:.4f} to {high:.4f} on other classes)")
    print(f"{'':<11}{'pairs' if settings.pairs else 'validation':>24}" + (f"{'test':>9}" if on_test else ""))
    for name in RATES:
        value, low, high = found.rates[name]
        print(f"{name:<11}{value:>8.3f} ({low:.3f} to {high:.3f})" + (f"{on_test[name]:>9.3f}" if on_test else ""))
    if found.target in ("precision", "best_f1") and found.rates["far"][0] > 0.5:
        print("more than half of the queries match when nothing of their class is there; far=0.1 asks for less")
    print(f"kept in {folder}/thresholds.json")
    print(threshold_curves(folder / "report" / "thresholds.png", found, distance=encoder.distance, title=title))
    if (folder / "report" / PAGE).exists():  # runs of before there was one have none
        judged_on = "pairs of your own" if settings.pairs else "the validation split"
        section = thresholds_section(found.curve, summary(found), distance=encoder.distance, judged_on=judged_on)
        print(put_section(folder / "report" / PAGE, section))


def on_splits(encoder, source, families):
    """The nearest neighbors of validation, and those of the test, in its gallery if it has one."""
    from metric_learning.evaluation import embed, nearest_of_all
    from metric_learning.tokenized import tokenized

    model, source = tokenized(encoder.model, source)
    options = {"distance": encoder.distance}
    of_test = {"ids": source.test.ids, "groups": source.test.groups}
    if source.gallery is not None:
        gallery = source.gallery
        of_test |= {"gallery": embed(model, gallery.inputs, progress=True), "gallery_labels": gallery.labels}
        of_test |= {"gallery_ids": gallery.ids, "gallery_groups": gallery.groups}
        if source.test.ids is None or gallery.ids is None:  # then no query is in the gallery
            of_test["ids"] = of_test["gallery_ids"] = None
    of_validation = {"ids": source.validation.ids, "groups": source.validation.groups, "families": families}
    return [
        nearest_of_all(embed(model, split.inputs, progress=True), split.labels, **given, **options)
        for split, given in ((source.validation, of_validation), (source.test, of_test))
    ]


def families_of(path, class_names):
    """Label -> family, by a table of classes and families; None without one."""
    if path is None:
        return None
    from metric_learning.data.table_files import read_table

    table = read_table(pathlib.Path(path), None, ["class", "family"])
    pairs = zip(table.column("class", "families"), table.column("family", "families"), strict=True)
    number_of = {name: number for number, name in enumerate(class_names)}
    family_of = {}
    for name, family in pairs:
        if family_of.setdefault(name, family) != family:
            raise ValueError(f"{path}: a class must have one family; {name!r} has {family_of[name]!r} and {family!r}")
    known = {number_of[name]: family for name, family in family_of.items() if name in number_of}
    if not known:
        raise ValueError(f"{path}: the column class must hold classes of the data; {next(iter(family_of))!r} is none")
    return known


if __name__ == "__main__":
    start_script(main, __doc__)
