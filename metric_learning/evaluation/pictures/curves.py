"""How a run went: loss, share of active tuples, learning rate and validation metrics over its
steps."""

import math

import numpy as np

from metric_learning.evaluation.pictures import canvas

_COLORS = (
    canvas.BLUE,
    canvas.ORANGE,
    "#7b519d",
    "#1a8f4c",
    "#c2467d",
    "#5b6b7f",
    "#8c6d31",
    "#2a9d9d",
)


def training_curves(path, history, *, objective="validation/recall@1", title="Training"):
    """Draws the history of a run.

    Args:
        path: of the PNG.
        history: rows as in `history.csv`: mappings with "step" and scalars such as "train/loss",
            "train/active_fraction", "train/learning_rate", "validation/recall@1". Values may be
            missing, None or "", and may be strings.
        objective: the validation scalar whose highest value marks the best step.
        title: names the data and the run.

    Returns:
        The path.

    Raises:
        ValueError: there is nothing to draw.
    """
    series = _series(history)
    panels = [
        (name, [key])
        for key, name in (
            ("train/loss", "Training loss"),
            ("train/active_fraction", "Share of active tuples"),
            ("train/learning_rate", "Learning rate"),
        )
        if key in series
    ]
    validation = [key for key in series if key.startswith("validation/") and _is_share(series[key])]
    if validation:
        panels.insert(1, ("Validation", validation))
    if not panels:
        raise ValueError(f"history has no scalars to draw; it holds {sorted(series) or 'no rows'}")

    num_rows = math.ceil(len(panels) / 2)
    figure = canvas.new_figure(1200, 90 + 320 * num_rows)
    layout = figure.add_gridspec(
        num_rows,
        2,
        left=0.055,
        right=0.975,
        bottom=55 / (90 + 320 * num_rows),
        top=1 - 100 / (90 + 320 * num_rows),
        hspace=0.42,
        wspace=0.15,
    )
    best = _best(series, objective)
    for place, (name, keys) in enumerate(panels):
        last = place == len(panels) - 1 and len(panels) % 2
        axes = figure.add_subplot(layout[place // 2, slice(0, 2) if last else place % 2])
        canvas.tidy(axes, "step", name)
        if keys is validation:
            _draw_validation(axes, series, validation, best)
        else:
            _draw_training(axes, *series[keys[0]], smooth=keys[0] != "train/learning_rate")
            if keys[0] == "train/active_fraction":
                axes.set_ylim(-0.03, 1.03)
        if best:
            axes.axvline(best[0], color=canvas.GREY, linewidth=1, linestyle=(0, (4, 3)))
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


def _series(history):
    """Key -> (steps, values), of what is a finite number."""
    points = {}
    for row in history:
        for key, value in row.items():
            if key != "step" and value not in (None, "") and np.isfinite(float(value)):
                points.setdefault(key, []).append((float(row["step"]), float(value)))
    return {key: tuple(np.array(sorted(pairs)).T) for key, pairs in points.items()}


def _is_share(series):
    return ((series[1] >= 0) & (series[1] <= 1)).all()


def _best(series, objective):
    if objective not in series:
        return None
    steps, values = series[objective]
    return steps[values.argmax()], values.max()


def _draw_training(axes, steps, values, smooth):
    if not smooth or len(values) < 20:
        axes.plot(steps, values, color=canvas.BLUE, linewidth=1.8)
        return
    axes.plot(steps, values, color=canvas.BLUE, linewidth=0.7, alpha=0.3)
    axes.plot(steps, _smoothed(values, span=len(values) / 25), color=canvas.BLUE, linewidth=2)
    spread = np.percentile(values, [0.5, 99])
    if spread[1] > spread[0]:  # a few wild first steps must not flatten the rest
        margin = 0.08 * (spread[1] - spread[0])
        axes.set_ylim(max(min(0, spread[0]), spread[0] - margin), spread[1] + margin)


def _smoothed(values, span):
    """Exponential moving average over about `span` values, unbiased at the start."""
    decay = math.exp(-1 / max(span, 1e-9))
    sums = weights = 0.0
    smoothed = []
    for value in values:
        sums, weights = decay * sums + (1 - decay) * value, decay * weights + (1 - decay)
        smoothed.append(sums / weights)
    return smoothed


def _draw_validation(axes, series, keys, best):
    for key, color in zip(keys, _COLORS * len(keys), strict=False):
        steps, values = series[key]
        name = f"{key.removeprefix('validation/')}  {values[-1]:.3f}"
        axes.plot(steps, values, color=color, linewidth=1.8, marker="o", markersize=3.5, label=name)
    if best:
        axes.plot(*best, marker="*", markersize=15, color=canvas.INK, markeredgecolor="white", zorder=5)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), title="last value")
