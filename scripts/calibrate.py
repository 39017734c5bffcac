"""Chooses up to which distance the nearest item is a match: on the validation split of a run, never on its test.

    python scripts/calibrate.py run=outputs/RUN precision=0.95   # so many of the matches are right
    python scripts/calibrate.py run=outputs/RUN recall=0.8       # so many of those who have something to find, do
    python scripts/calibrate.py run=outputs/RUN far=0.01         # so many of those who have nothing to find, match
    python scripts/calibrate.py run=outputs/RUN best_f1=true

The threshold is kept in thresholds.json of the run, from where search.py and indexes take it; a picture of all
thresholds is report/thresholds.png, and the page of the run, report/index.html, shows it from then on. A target is
promised with 95 % confidence for queries of new classes in a gallery like that of validation; what the same threshold
does on the test is printed too, as a check, and not chosen by.
trusted=[] names packages whose code the encoder or its data needs.
"""

import pathlib

from metric_learning.command_line import build, load, start_script, words_of

RATES = ("precision", "recall", "far", "frr")


def main(arguments):
    settings = words_of(arguments, run=None, precision=None, recall=None, far=None, best_f1=False, trusted=[])
    target = {name: float(settings[name]) for name in ("precision", "recall", "far") if settings[name] is not None}
    if settings.best_f1:
        target["best_f1"] = True
    if settings.run is None or len(target) != 1:
        raise ValueError("expected run=FOLDER and one of precision=0.95, recall=0.8, far=0.01 and best_f1=true")

    import metric_learning
    from metric_learning.evaluation import embed, nearest_of_all, rates_at
    from metric_learning.evaluation.calibration import summary
    from metric_learning.report import PAGE, put_section
    from metric_learning.report.pictures import threshold_curves
    from metric_learning.report.sections import thresholds_section
    from metric_learning.tokenized import tokenized

    folder = pathlib.Path(settings.run)
    encoder = metric_learning.load(folder, trusted=settings.trusted)
    source = build(load(folder / "config.yaml", settings.trusted).data)
    model, source = tokenized(encoder.model, source)
    rows = embed(model, source.validation.inputs, progress=True)
    found = encoder.calibrate(rows, source.validation.labels, **target)
    rows = embed(model, source.test.inputs, progress=True)
    nearest = nearest_of_all(rows, source.test.labels, distance=encoder.distance)
    on_test = rates_at(nearest, found.threshold)
    print(f"a match is within {found.threshold:.4f} ({encoder.distance}); kept in {folder}/thresholds.json")
    print(f"{'':<11}{'validation':>24}{'test':>9}")
    for name in RATES:
        value, low, high = found.rates[name]
        print(f"{name:<11}{value:>8.3f} ({low:.3f} to {high:.3f}){on_test[name]:>9.3f}")
    if found.target in ("precision", "best_f1") and found.rates["far"][0] > 0.5:
        print("more than half of the queries match when nothing of their class is there; far=0.1 asks for less")
    title = f"{source.name} validation, {folder.name}"
    print(threshold_curves(folder / "report" / "thresholds.png", found, distance=encoder.distance, title=title))
    if (folder / "report" / PAGE).exists():  # runs of before there was one have none
        section = thresholds_section(found.curve, summary(found), distance=encoder.distance)
        print(put_section(folder / "report" / PAGE, section))


if __name__ == "__main__":
    start_script(main, __doc__)
