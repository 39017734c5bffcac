"""Compares finished runs, such as those of a sweep: one row for what was set, the best validation first.

    python scripts/compare.py runs=outputs/sweeps/SWEEP
    python scripts/compare.py runs=outputs/sweeps/SWEEP "scores=[test/recall@1,test/mrr]" objective=validation/recall@1

Runs that differ in their seed only share a row: their mean, and how many they are. Prints a Markdown table. Behind a
score stands its 95 % interval over other classes, as far as metrics.json has it; of several seeds the mean of theirs,
as all are judged on the same classes and share their luck.
"""

import pathlib

import numpy as np
from omegaconf import OmegaConf

from metric_learning.command_line import start_script, words_of
from metric_learning.encoder_files import read_json


def main(arguments):
    options = words_of(arguments, runs=None, scores=["test/recall@1", "test/map@r"], objective="validation/map@r")
    if options.runs is None:
        raise ValueError("expected runs=FOLDER, and if wanted scores=[...] and objective=...")
    files = sorted(pathlib.Path(options.runs).rglob("metrics.json"))
    if not files:
        raise ValueError(f"runs must hold finished runs; there is no metrics.json in {options.runs}")
    columns = [options.objective, *options.scores]
    rows = {}
    for file in files:
        scores = read_json(file)
        bounds = scores.pop("intervals", {})
        missing = [column for column in columns if column not in scores]
        if missing:
            raise ValueError(f"{', '.join(missing)} not in {file}; there are {', '.join(scores) or 'none'}")
        overrides = OmegaConf.load(file.parent / ".hydra" / "overrides.yaml")
        settings = tuple(override for override in overrides if not override.startswith("seed="))
        unknown = [float("nan")] * 2
        rows.setdefault(settings, []).append([[scores[column], *bounds.get(column, unknown)] for column in columns])
    # What is common to all is said once.
    common = [override for override in next(iter(rows)) if all(override in other for other in rows)]
    if common and len(rows) > 1:
        print(f"All with `{' '.join(common)}`:\n")
        rows = {tuple(each for each in settings if each not in common): values for settings, values in rows.items()}

    means = {settings: np.mean(values, axis=0) for settings, values in rows.items()}
    print("| run | seeds |", " | ".join(columns), "|")
    print("|---" * (2 + len(columns)) + "|")
    for settings in sorted(means, key=lambda settings: -means[settings][0][0]):
        numbers = " | ".join(cell(*values) for values in means[settings])
        print(f"| `{' '.join(settings) or 'the defaults'}` | {len(rows[settings])} | {numbers} |")


def cell(score, low, high):
    """.687 (.66 to .71)"""
    number, *ends = (f"{value:.{digits}f}".lstrip("0") for value, digits in ((score, 3), (low, 2), (high, 2)))
    return number if np.isnan(low) else f"{number} ({' to '.join(ends)})"


if __name__ == "__main__":
    start_script(main, __doc__)
