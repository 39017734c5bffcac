"""Draws the table of `scripts/benchmark.py`: times the floor, memory, and speed against the peer, per subject.

    python scripts/plot_benchmark.py [folder=docs]

Reads benchmark.csv of the folder and writes benchmark.png beside it.
"""

import csv
import pathlib
import statistics

from matplotlib.lines import Line2D

from metric_learning.command_line import start_script, words_of
from metric_learning.report.pictures import canvas

FAMILIES = {
    "tuples": "pairs and tuples",
    "distances": "sets and lists",
    "embeddings": "embeddings",
    "class vectors": "class vectors",
    "miners": "miners, with triplets",
}
COLORS = {"4 per class": canvas.BLUE, "10 classes": canvas.ORANGE}
MARKERS = ("o", "^", "s", "D", "v", "P")
# Bars: (value, what it is).
TIME_BARS = ((3.0, "masks: 3"), (12.0, "sorting, 4 per class: 12"), (25.0, "sorting, 10 classes: 25"))
MEMORY_BARS = ((16.0, "at most 16"),)
PEER_BARS = ((1.0, "as fast"), (5.0, "5, for the mean"))
ROW_HEIGHT, HEAD, FOOT = 21, 150, 60
ROOM = 6  # rows above the first, for the names of the bars


def main(arguments):
    folder = pathlib.Path(words_of(arguments, folder="docs").folder)
    with open(folder / "benchmark.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    places, gaps = places_of(rows)
    height = HEAD + FOOT + ROW_HEIGHT * (max(places.values()) + 1 + ROOM)
    figure = canvas.new_figure(1400, height)
    canvas.heading(
        figure,
        "What a loss costs, forward and backward",
        "Time in units of the floor (the sum of squares of x x^T at the same batch size, compiled the same way), "
        "D = 128.  Lower is better on the left, higher on the right.",
    )
    grid = figure.add_gridspec(
        1, 3, left=0.185, right=0.985, bottom=FOOT / height, top=1 - HEAD / height, wspace=0.06, width_ratios=(5, 2, 3)
    )
    panels = [figure.add_subplot(grid[index]) for index in range(3)]
    floor = next((float(row["matrices"]) for row in rows if row["subject"] == "floor" and row["matrices"]), None)
    draw_times(panels[0], rows, places)
    draw_memory(panels[1], rows, places, floor)
    draw_peer(panels[2], rows, places)
    for axes in panels:
        axes.set_ylim(max(places.values()) + 0.8, -0.8 - ROOM)
        axes.set_yticks([])
        axes.grid(axis="y", visible=False)
        for place in places.values():
            axes.axhline(place, color=canvas.PALE, linewidth=0.6, zorder=0)
    panels[0].set_yticks(list(places.values()), list(places))
    panels[0].tick_params(axis="y", length=0)
    for place, family in gaps:
        style = {"transform": panels[0].get_yaxis_transform(), "ha": "right", "weight": "bold", "size": 9}
        canvas.write(panels[0], -0.01, place, family, **style)
    canvas.save(figure, folder / "benchmark.png")


def places_of(rows):
    """Rows of the picture: the place of every subject, family by family, and the places of the families' names."""
    places, gaps, place = {}, [], 0
    for family, title in FAMILIES.items():
        names = list(dict.fromkeys(row["subject"] for row in rows if row["family"] == family))
        if names:
            gaps.append((place, title))
            for name in names:
                place += 1
                places[name] = place
            place += 1
    failed = list(dict.fromkeys(row["subject"] for row in rows if not row["family"]))
    if failed:
        gaps.append((place, "could not be measured"))
        places |= {name: place + 1 + index for index, name in enumerate(failed)}
    return places, gaps


def draw_times(axes, rows, places):
    sizes = sorted({int(row["size"]) for row in rows if row["layout"]})
    canvas.tidy(axes, "times the floor", "Time")
    bars(axes, TIME_BARS)
    for row in rows:
        if row["layout"] and row["ratio"]:
            shift = -0.17 if row["layout"] == "4 per class" else 0.17
            axes.plot(
                float(row["ratio"]),
                places[row["subject"]] + shift,
                marker=MARKERS[sizes.index(int(row["size"])) % len(MARKERS)],
                color=COLORS[row["layout"]],
                markersize=5,
                alpha=0.85,
                linestyle="none",
            )
    logarithmic(axes)
    handles = [Line2D([], [], color=color, marker="o", linestyle="none", label=name) for name, color in COLORS.items()]
    handles += [
        Line2D([], [], color=canvas.GRAY, marker=marker, linestyle="none", label=f"B = {size:,}")
        for size, marker in zip(sizes, MARKERS, strict=False)
    ]
    axes.figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.18, 1 - 62 / (100 * axes.figure.get_figheight())), ncols=6,
        frameon=False, fontsize=9,
    )  # fmt: skip


def draw_memory(axes, rows, places, floor):
    size = max(int(row["size"]) for row in rows)
    canvas.tidy(axes, f"B x B float32 matrices, B = {size:,}", "Peak memory")
    bars(axes, MEMORY_BARS + (((floor, "floor"),) if floor else ()))
    for row in rows:
        if row["layout"] and row["matrices"]:
            shift = -0.17 if row["layout"] == "4 per class" else 0.17
            place = places[row["subject"]] + shift
            axes.barh(place, float(row["matrices"]), height=0.3, color=COLORS[row["layout"]], alpha=0.75)
    axes.set_xlim(left=0)


def draw_peer(axes, rows, places):
    measured = [row for row in rows if row["speed_up"]]
    title = "Speed against pytorch-metric-learning"
    if not measured:
        canvas.tidy(axes, "not measured", title)
        axes.set_xticks([])
        return
    mean = statistics.geometric_mean(float(row["speed_up"]) for row in measured)
    canvas.tidy(axes, f"times as fast, B = {int(measured[0]['size']):,}; geometric mean {mean:.1f}", title)
    bars(axes, PEER_BARS)
    for row in measured:
        shift = -0.17 if row["layout"] == "4 per class" else 0.17
        axes.plot(
            float(row["speed_up"]), places[row["subject"]] + shift, "o", color=COLORS[row["layout"]], markersize=5
        )  # fmt: skip
    logarithmic(axes)


def bars(axes, values):
    for value, name in values:
        axes.axvline(value, color=canvas.WRONG if name != "floor" else canvas.GRAY, linewidth=1, linestyle="--")
        axes.text(
            value, 1.0, f" {name}", transform=axes.get_xaxis_transform(), rotation=90, size=7.5, color=canvas.GRAY,
            ha="right", va="top",
        )  # fmt: skip


def logarithmic(axes):
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    steps = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200) if high < 300 else (0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)
    ticks = [tick for tick in steps if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


if __name__ == "__main__":
    start_script(main, __doc__)
