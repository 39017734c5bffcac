"""The scores of a run: as a table for people, and as they are kept."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metric_learning.evaluation.judge import SplitEvaluation


def run_table(scores: Mapping[str, Any]) -> str:
    """The scores of a run as text: untrained beside trained, and 95 % intervals where they are known.

    Args:
        scores: as in `metrics.json`, see `scores_of_run`.
    """
    return scores_table(scores_by_column(scores), scores_by_column(scores.get("intervals", {})))


def scores_table(
    columns: Mapping[str, Mapping[str, float]], intervals: Mapping[str, Mapping[str, Sequence[float]]] | None = None
) -> str:
    """The scores of several evaluations side by side, as aligned plain text.

    Args:
        columns: name -> scores, such as {"untrained": {...}, "validation": {...}, "test": {...}}.
            Rows are the union of their keys, in order of appearance; integers are counts, a missing
            score is "-".
        intervals: (low, high) of some of them, by the same names, which are put behind.

    Returns:
        The table, without a newline at its end.

    Example:
        >>> untrained, test = {"recall@1": 0.25}, {"recall@1": 0.5812, "queries": 5131}
        >>> print(scores_table({"untrained": untrained, "test": test}))
                  untrained    test
        recall@1     0.2500  0.5812
        queries           -   5,131
        >>> print(scores_table({"test": {"recall@1": 0.5812}}, {"test": {"recall@1": (0.5694, 0.6012)}}))
                                 test
        recall@1  0.5812 (.57 to .60)
    """
    names = list(dict.fromkeys(name for scores in columns.values() for name in scores))
    rows = [["", *columns]]
    bounds = intervals or {}
    for name in names:
        cells = (_cell(scores.get(name), bounds.get(column, {}).get(name)) for column, scores in columns.items())
        rows.append([name, *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def _short(value: float, digits: int) -> str:
    """A number without the 0 before the point: .687 for 0.687."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.{digits}f}")


def _cell(value, bounds):
    if value is None:
        return "-"
    number = f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.4f}"
    return number if bounds is None else f"{number} ({_short(bounds[0], 2)} to {_short(bounds[1], 2)})"


def scores_by_column(scores: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The scores of a run as `scores_table` takes them.

    Args:
        scores: as in `metrics.json`: "test/recall@1", "untrained/test/recall@1" and so on, in any order; or intervals
            by the same names.

    Returns:
        {"validation, untrained": {...}, "test, untrained": {...}, "validation, trained": {...}, ...}, as far as there
        are scores.
    """
    columns = {}
    for prefix, state in (("untrained/", "untrained"), ("", "trained")):
        for split in ("validation", "test"):
            found = {
                name.removeprefix(f"{prefix}{split}/"): value
                for name, value in scores.items()
                if name.startswith(f"{prefix}{split}/")
            }
            if found:
                columns[f"{split}, {state}"] = found
    return columns


def scores_of_run(
    best_step: int, trained: Mapping[str, SplitEvaluation], untrained: Mapping[str, SplitEvaluation]
) -> dict[str, Any]:
    """All that goes to `metrics.json`: scores by name, and under "intervals" those of the trained encoder by the same
    names, [low, high] at 95 %.

    Args:
        best_step: of the checkpoint that was judged.
        trained, untrained: split name -> `SplitEvaluation`, "validation" and "test".
    """
    scores = {"best_step": best_step} | trained["validation"].scores | trained["test"].scores
    for judged in untrained.values():
        scores |= {f"untrained/{name}": value for name, value in judged.scores.items()}
    bounds = trained["validation"].intervals() | trained["test"].intervals()
    return scores | {"intervals": {name: list(interval) for name, interval in bounds.items()}}
