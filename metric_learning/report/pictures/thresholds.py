"""What a threshold does: precision, recall and the two error rates over it, with the chosen one."""

from pathlib import Path

from metric_learning.evaluation.calibration import Calibration
from metric_learning.report.pictures import canvas

_CURVES = {
    "precision": (canvas.RIGHT, "solid"),
    "recall": (canvas.BLUE, "solid"),
    "far": (canvas.WRONG, "dashed"),
    "frr": (canvas.ORANGE, "dashed"),
}
_NAMES = {"far": "false accept rate", "frr": "false reject rate"}


def threshold_curves(path: str | Path, calibration: Calibration, *, distance: str, title: str = "Threshold") -> Path:
    """Draws a calibration.

    Args:
        path: of the PNG.
        calibration: see `calibrate`.
        distance: its name, for the axis.
        title: names the data and the run.

    Returns:
        The path.
    """
    figure = canvas.new_figure(1100, 560)
    axes = figure.add_axes((0.07, 0.11, 0.72, 0.71))
    canvas.tidy(axes, f"threshold ({distance} distance)", "")
    for place, (name, (color, line)) in enumerate(_CURVES.items()):
        axes.plot(calibration.curve["threshold"], calibration.curve[name], color=color, linewidth=2, linestyle=line)
        value, low, high = calibration.rates[name]
        text = f"{_NAMES.get(name, name)}\n{value:.3f}  ({low:.3f} to {high:.3f})"
        axes.text(1.02, 0.9 - 0.2 * place, text, transform=axes.transAxes, color=color, fontsize=10, va="center")
        axes.plot(calibration.threshold, value, marker="o", markersize=7, color=color, markeredgecolor="white")
    axes.axvspan(*calibration.interval, color=canvas.PALE, linewidth=0, zorder=0)
    axes.axvline(calibration.threshold, color=canvas.GRAY, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_ylim(-0.02, 1.02)
    asked = "the best F1" if calibration.value is None else f"{calibration.target} {calibration.value:g}"
    low, high = calibration.interval
    canvas.heading(
        figure,
        title,
        f"for {asked} a match is within {calibration.threshold:.4f} (dashed line; {low:.4f} to {high:.4f}, pale); "
        f"{calibration.queries:,} queries of {calibration.classes:,} classes, intervals of 95 %",
    )
    return canvas.save(figure, path)
