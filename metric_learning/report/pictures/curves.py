"""How a run went: loss, share of active tuples, learning rate and validation metrics over its
steps."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from metric_learning.report.pictures import canvas

Series: TypeAlias = dict[str, tuple[np.ndarray, np.ndarray]]
VALIDATION = "Validation"
_COLORS = (canvas.BLUE, canvas.ORANGE, "#7b519d", "#1a8f4c")
# The scores that people compare; more curves than these cannot be told apart.
_SHOWN = ("validation/recall@1", "validation/map@r", "validation/r_precision")


def training_curves(
    path: str | Path,
    history: Sequence[Mapping[str, Any]],
    *,
    objective: str = "validation/recall@1",
    title: str = "Training",
) -> Path:
    """Draws the history of a run.

    Args:
        path: of the PNG.
        history: rows as in `history.csv`: mappings with "step" and scalars such as "train/loss",
            "train/active_fraction", "learning_rate", "validation/recall@1". Values may be
            missing, None or "", and may be strings.
        objective: the validation scalar whose highest value marks the best step.
        title: names the data and the run.

    Returns:
        The path.

    Raises:
        ValueError: there is nothing to draw.
    """
    series = series_of(history)
    panels = panels_of(series, objective)
    if not panels:
        raise ValueError(f"history has no scalars to draw; it holds {sorted(series) or 'no rows'}")

    num_rows = math.ceil(len(panels) / 2)
    figure = canvas.new_figure(1200, 90 + 320 * num_rows)
    layout = figure.add_gridspec(
        num_rows,
        2,
        left=0.055,
        right=0.885,
        bottom=55 / (90 + 320 * num_rows),
        top=1 - 100 / (90 + 320 * num_rows),
        hspace=0.42,
        wspace=0.13,
    )
    best = best_step(series, objective)
    for place, (name, keys) in enumerate(panels):
        last = place == len(panels) - 1 and len(panels) % 2
        axes = figure.add_subplot(layout[place // 2, slice(0, 2) if last else place % 2])
        canvas.tidy(axes, "step", name)
        if name == VALIDATION:
            _draw_validation(axes, series, keys, best)
        else:
            steps, values = series[keys[0]]
            _draw_training(axes, steps, values, smooth=keys[0] != "learning_rate")
            if keys[0] == "train/active_fraction":
                axes.set_ylim(-0.03, 1.03)
        if best:
            axes.axvline(best[0], color=canvas.GRAY, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlim(left=min(0, axes.get_xlim()[0]))
    last_step = max(steps[-1] for steps, _ in series.values())
    canvas.heading(
        figure,
        title,
        f"best {objective} {best[1]:.4f} at step {best[0]:,.0f} of {last_step:,.0f} (dashed line)"
        if best
        else f"{last_step:,.0f} steps",
    )
    return canvas.save(figure, path)


def panels_of(series: Series, objective: str) -> list[tuple[str, list[str]]]:
    """(title, keys of `series_of`) of each picture that there is something for."""
    panels = [
        (name, [key])
        for key, name in (
            ("train/loss", "Training loss"),
            ("train/active_fraction", "Share of active anchors"),
            ("learning_rate", "Learning rate"),
        )
        if key in series
    ]
    validation = [key for key in dict.fromkeys((*_SHOWN, objective)) if key in series]
    if validation:
        panels.insert(1, (VALIDATION, validation))
    return panels


def series_of(history: Sequence[Mapping[str, Any]]) -> Series:
    """Key -> (steps, values), of what is a finite number."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in history:
        for key, value in row.items():
            if key != "step" and value not in (None, "") and np.isfinite(float(value)):
                points.setdefault(key, []).append((float(row["step"]), float(value)))
    columns = {key: np.array(sorted(pairs)).T for key, pairs in points.items()}
    return {key: (steps, values) for key, (steps, values) in columns.items()}


def best_step(series: Series, objective: str) -> tuple[float, float] | None:
    """(step, value) of the highest value of the objective."""
    if objective not in series:
        return None
    steps, values = series[objective]
    return float(steps[values.argmax()]), float(values.max())


def _draw_training(axes, steps, values, smooth):
    if not smooth or len(values) < 20:
        axes.plot(steps, values, color=canvas.BLUE, linewidth=1.8)
        return
    axes.plot(steps, values, color=canvas.BLUE, linewidth=0.7, alpha=0.3)
    axes.plot(steps, smoothed(values, span=len(values) / 60), color=canvas.BLUE, linewidth=2)
    spread = np.percentile(values, [0.5, 99])
    if spread[1] > spread[0]:  # a few wild first steps must not flatten the rest
        margin = 0.08 * (spread[1] - spread[0])
        axes.set_ylim(max(min(0, spread[0]), spread[0] - margin), spread[1] + margin)


def smoothed(values: np.ndarray, span: float) -> np.ndarray:
    """Moving average under a bell of standard deviation `span`, cut and renormalized at the ends.

    Centered, so that unlike an exponential average it does not lag behind a falling loss.
    """
    reach = min(len(values) - 1, math.ceil(3 * span))
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / span) ** 2)
    sums = np.convolve(values, bell)[reach : reach + len(values)]
    return sums / np.convolve(np.ones_like(values), bell)[reach : reach + len(values)]


def _draw_validation(axes, series, keys, best):
    """Curves named at their right ends, where names that would overlap are pushed apart."""
    ends = []
    for key, color in zip(keys, _COLORS * len(keys), strict=False):
        steps, values = series[key]
        axes.plot(steps, values, color=color, linewidth=1.8, marker="o", markersize=3.5)
        ends.append((values[-1], key.removeprefix("validation/"), color))
    if best:
        axes.plot(*best, marker="*", markersize=15, color=canvas.INK, markeredgecolor="white")
    low, high = axes.get_ylim()
    level, space = low - 1, 0.065 * (high - low)
    for value, name, color in sorted(ends):
        level = max(value, level + space)
        axes.text(
            1.015,
            (level - low) / (high - low),
            canvas.legible(f"{value:.3f}  {name}"),
            transform=axes.transAxes,
            color=color,
            fontsize=9,
            va="center",
            parse_math=False,
        )
    axes.set_ylim(low, high)
