"""Draws what every loss of conf/loss says and how it pulls, from the code itself, with the settings of its yaml.

    python scripts/plot_losses.py                            # a picture per family, in docs/losses
    python scripts/plot_losses.py only=pairs folder=DIR

Embeddings are placed so that they have the angles or distances that the picture shows; the slope is that of the value
by the one angle or distance that moves. It warns where a value falls as a positive goes away, or rises as a negative
does: that can be right, but deserves a look.
"""

import pathlib
import sys

import hydra
import numpy as np

from metric_learning import losses  # noqa: F401  isort: skip  imports TensorFlow, without its noise
import tensorflow as tf
from PIL import Image

from metric_learning.command_line import start_script, words_of
from metric_learning.losses.class_loss import ClassLoss
from metric_learning.report.pictures import canvas
from metric_learning.steps import at_step

CONF = pathlib.Path(__file__).resolve().parent.parent / "conf"
FAMILIES = {
    "pairs": "Pairs: one anchor, one positive, one negative",
    "triplets": "Triplets and quadruplets",
    "lists": "Lists: one anchor, several positives and negatives",
    "classes": "Class vectors, proxies and margins",
    "keras": "The losses of Keras, over classes: on scaled cosines",
    "views": "Two views of eight items",
}
# What moves: something that should be near, and something that should be far.
LEGENDS = {
    "pairs": ("positive moves, negative stands at 60°", "negative moves, positive stands at 30°"),
    "lists": ("a positive moves; others at 20°, 50°", "a negative moves; others at 40°, 70°, 90°, 120°"),
    "classes": ("own class vector moves, others at 90°", "another class vector moves, own at 60°"),
    "keras": ("own class moves, others at cosine 0", "another class moves, own at .5"),
    "views": ("views, from equal (0) to opposite (1)", "items, from one point (0) to spread (1)"),
}
ANGLES = "angle, degrees"
AXES = {"keras": "cosine to the class vector", "views": "share of the way"}
OWN, OTHER = canvas.RIGHT, canvas.WRONG
# Rows of four numbers with mean 0, so that SNR distances follow the angles too.
BASIS = np.array([[1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], np.float32) / 2.0
# Angles in degrees of what stands still: positives, and negatives.
ONE_EACH, SEVERAL = ((30.0,), (60.0,)), ((20.0, 50.0), (40.0, 70.0, 90.0, 120.0))
# It compares a pair with the mean of the others.
IN_COMPANY = {"intra_pair_variance"}
COLUMNS, CELL_WIDTH, CELL_HEIGHT, HEAD = 4, 330, 305, 95
# Where schedules have come to their end.
LATE = 10**6


def main(arguments):
    settings = words_of(arguments, only="", folder="docs/losses")
    members, wanted = families(), settings.only.split(",") if settings.only else list(FAMILIES)
    if set(wanted) - set(FAMILIES):
        raise ValueError(f"families are {', '.join(FAMILIES)}; got {settings.only}")
    for family in wanted:
        if members[family]:
            path = draw(family, members[family], pathlib.Path(settings.folder))
            print(path, f"{len(members[family])} losses, {path.stat().st_size // 1000} kB")


def families():
    """{family: names of losses}, by the first word of each file in conf/loss."""
    found = {family: [] for family in FAMILIES}
    for path in sorted((CONF / "loss").glob("*.yaml")):
        found[path.read_text(encoding="utf-8").removeprefix("# ").partition(":")[0]].append(path.stem)
    return found


def build(name):
    """The loss of the yaml, for three classes and four dimensions."""
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = hydra.compose("config", [f"loss={name}", "miner=none", "encoder.embedding_dim=4"])
        if "over" in cfg.loss:
            cfg.loss.over = "classes"  # where a prediction can move alone
    loss = hydra.utils.instantiate(cfg.loss, _convert_="all")
    loss.build(3, 4, ["ant", "bee", "red deer"])
    if isinstance(loss, ClassLoss) and loss.layers:
        vectors = loss.layers[0].vectors
        vectors.assign(np.repeat(np.eye(3, 4), vectors.shape[0] // 3, axis=0))
    if remembered(loss):  # give it something to remember
        with at_step(LATE):
            loss.call(np.arange(30) % 3, np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32))
    return loss


def remembered(loss):
    """Variables that calls change."""
    return [variable for layer in loss.layers for variable in layer.non_trainable_variables]


def draw(family, names, folder):
    figure, cells = page(family, len(names))
    for name, cell in zip(names, cells, strict=True):
        loss = build(name)
        if family == "triplets":
            draw_map(figure, cell, name, loss)
            continue
        if family == "views":
            curves = view_curves(loss)
        elif family in ("classes", "keras"):
            curves = class_curves(loss, in_degrees=family == "classes")
        else:
            curves = pair_curves(loss, SEVERAL if family == "lists" or name in IN_COMPANY else ONE_EACH)
        warn(name, curves, falling=family == "keras")
        draw_curves(figure, cell, name, loss, curves, family)
    path = canvas.save(figure, folder / f"{family}.png")
    with Image.open(path) as picture:  # a palette is enough, and a third of the bytes
        picture.convert("RGB").quantize(128).save(path, optimize=True)
    return path


# What moves: each makes two curves, (x, values, slopes), of what should be near and of what should be far.


def trace(loss, value, start, stop, count=91):
    xs = np.linspace(start, stop, count, dtype=np.float32)
    return xs, *evaluate(loss, value, xs)


def evaluate(loss, value, points):
    """Values and gradients at the points; what the loss remembers stays as it is."""
    kept = [(variable, variable.numpy()) for variable in remembered(loss)]

    @tf.function
    def at(x):
        with at_step(LATE), tf.GradientTape() as tape:
            tape.watch(x)
            result = value(x)
        return result, tape.gradient(result, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    found = []
    for point in points:
        found.append([part.numpy() for part in at(tf.constant(point))])
        for variable, before in kept:
            variable.assign(before)
    return [np.array(parts) for parts in zip(*found, strict=True)]


def around(degrees, turn):
    """A unit row at an angle from the anchor, `turn` saying to which side."""
    radians, turn = np.pi / 180.0 * degrees, np.float32(turn)
    return tf.cos(radians) * BASIS[0] + tf.sin(radians) * (np.cos(turn) * BASIS[1] + np.sin(turn) * BASIS[2])


def compare(loss, labels, rows, ref_labels, ref_rows):
    """The mean value of the anchors with these references; of all as one batch where a loss takes no references."""
    try:
        return tf.reduce_mean(loss.call(labels, rows, ref_labels=ref_labels, ref_embeddings=ref_rows))
    except (TypeError, ValueError):
        return tf.reduce_mean(loss.call([*labels, *ref_labels], tf.concat([rows, ref_rows], axis=0)))


def pair_curves(loss, still):
    def value(positives, negatives):
        """Of one anchor with rows at these angles; every negative is of a class of its own."""
        rows = [around(angle, 0.5 * index) for index, angle in enumerate(positives)]
        rows += [around(angle, np.pi - 0.7 * index) for index, angle in enumerate(negatives)]
        labels = [0] * len(positives) + list(range(1, len(negatives) + 1))
        return compare(loss, [0], tf.constant(BASIS[:1]), labels, tf.stack(rows))

    positives, negatives = still if still is SEVERAL else ((), ())
    near = trace(loss, lambda x: value([*positives, x], still[1]), 0.0, 180.0, 181)
    return near, trace(loss, lambda x: value(still[0], [*negatives, x]), 0.0, 180.0, 181)


def class_curves(loss, in_degrees):
    """A unit row at a cosine to its own class vector, to another, and at a right angle to the third."""

    def value(own, other):
        rest = tf.sqrt(tf.maximum(1.0 - own**2 - other**2, 0.0))
        return tf.reduce_mean(loss.call([0], tf.stack([own, other, 0.0 * rest, rest])[None, :]))

    def cosine(x):
        return tf.cos(np.pi / 180.0 * x) if in_degrees else x

    # Not quite to the ends, where the root has no slope.
    ends = ((0.5, 179.5), (30.5, 149.5)) if in_degrees else ((-0.995, 0.995), (-0.86, 0.86))
    own = trace(loss, lambda x: value(cosine(x), 0.0), *ends[0])
    return own, trace(loss, lambda x: value(tf.constant(0.5), cosine(x)), *ends[1])


def view_curves(loss):
    """Unit rows of items, and second views of them in other directions."""
    random, labels = np.random.default_rng(0), np.repeat(np.arange(8), 2)
    items, ways, common = (random.normal(size=(count, 16)).astype(np.float32) for count in (8, 8, 1))
    items, common = items / np.linalg.norm(items, axis=1, keepdims=True), common / np.linalg.norm(common)

    def value(degrees, nearness):
        first = tf.math.l2_normalize((1.0 - nearness) * items + nearness * common, axis=1)
        across = tf.math.l2_normalize(ways - tf.reduce_sum(ways * first, axis=1, keepdims=True) * first, axis=1)
        second = tf.cos(np.pi / 180.0 * degrees) * first + tf.sin(np.pi / 180.0 * degrees) * across
        return tf.reduce_mean(loss.call(labels, tf.reshape(tf.stack([first, second], axis=1), [16, 16])))

    views = trace(loss, lambda x: value(180.0 * x, 0.0), 0.0, 1.0)
    return views, trace(loss, lambda x: value(tf.constant(20.0), 1.0 - x), 0.01, 1.0)


def warn(name, curves, falling=False):
    for (_, values, _), which, sign in zip(curves, ("positive", "negative"), (1, -1), strict=True):
        steps, span = np.diff(values) * (-sign if falling else sign), np.ptp(values)
        if not steps.min() > -1e-3 * span:
            share = -steps[steps < 0].sum() / span if span else span
            print(f"{name}: not finite, constant, or for {share:.1%} the wrong way ({which})", file=sys.stderr)


def page(family, count):
    """A figure, and a cell for each loss."""
    title, legend = FAMILIES[family], LEGENDS.get(family, ())
    columns = min(COLUMNS, max(count, 3))
    rows = -(-count // columns)
    width, height = CELL_WIDTH * columns, HEAD + CELL_HEIGHT * rows
    figure = canvas.new_figure(width, height)
    subtitle = "Above the value, below its slope by what moves.  Settings are those of conf/loss, miner=none."
    if not legend:
        subtitle = "Value by the cosine distances of the anchor; the darker the dearer.  Arrows go down the gradient."
    canvas.heading(figure, title, subtitle)
    for index, (text, color) in enumerate(zip(legend, (OWN, OTHER), strict=bool(legend))):
        figure.text((16 + index * 330) / width, 1 - 66 / height, f"━━  {text}", color=color, size=10, va="top")
    frame = {"left": 52 / width, "right": 1 - 16 / width, "bottom": 48 / height, "top": 1 - (HEAD + 36) / height}
    grid = figure.add_gridspec(rows, columns, wspace=0.25, hspace=0.42, **frame)
    return figure, [grid[index // columns, index % columns] for index in range(count)]


def entitle(axes, name, loss):
    """The name, and below it the numbers of the configuration."""
    config = loss.get_config()
    shown = [key for key in config if type(config[key]) in (int, float) and key not in ("num_classes", "embedding_dim")]
    text = ", ".join(f"{key} {config[key]:g}" for key in shown).replace("_", " ")
    axes.set_title(name, loc="left", color=canvas.INK, fontsize=11, fontweight="bold", pad=17)
    canvas.write(axes, 0, 1.05, canvas.legible(text, 50), transform=axes.transAxes, color=canvas.GRAY, size=7.5)


def draw_curves(figure, cell, name, loss, curves, family):
    above, below = map(figure.add_subplot, cell.subgridspec(2, 1, height_ratios=(5, 3), hspace=0.12))
    for (xs, values, gradients), color in zip(curves, (OWN, OTHER), strict=True):
        above.plot(xs, values, color=color, linewidth=1.6)
        below.plot(xs, gradients, color=color, linewidth=1.2)
    for axes in (above, below):
        canvas.tidy(axes, "", "")
        axes.tick_params(labelsize=7.5)
        axes.margins(x=0.02)
        if family in ("pairs", "lists", "classes"):
            axes.set_xticks(range(0, 181, 45))
    above.tick_params(labelbottom=False)
    above.set_ylim(bottom=min(0.0, above.get_ylim()[0]))
    below.axhline(0.0, color=canvas.GRAY, linewidth=0.6)
    below.set_xlabel(AXES.get(family, ANGLES), fontsize=8, color=canvas.INK)
    entitle(above, name, loss)


def draw_map(figure, cell, name, loss):
    axes, sides = figure.add_subplot(cell), np.linspace(0.02, 1.98, 41, dtype=np.float32)

    def value(distances):
        angles = 180.0 / np.pi * tf.acos(1.0 - distances)
        rows, labels = [BASIS[0]], [0]
        if name == "quadruplet":  # a row of a third class, at 45 degrees from the negative
            rows, labels = [*rows, around(angles[1] + 45.0, np.pi / 2.0)], [0, 2]
        references = tf.stack([around(angles[0], 0.0), around(angles[1], np.pi / 2.0)])
        return compare(loss, labels, tf.stack(rows), [0, 1], references)

    values, gradients = evaluate(loss, value, [[near, far] for far in sides for near in sides])
    values, arrows = values.reshape(41, 41), -gradients.reshape(41, 41, 2)[2::6, 2::6]
    axes.imshow(values, origin="lower", extent=(0, 2, 0, 2), cmap="Blues", aspect="auto", vmin=0.0)
    lines = axes.contour(sides, sides, values, 6, colors=canvas.GRAY, linewidths=0.6)
    axes.clabel(lines, fontsize=6.5, fmt="%.2g")
    arrows = np.moveaxis(arrows / (np.linalg.norm(arrows, axis=-1).max() or 1.0), -1, 0)
    axes.quiver(sides[2::6], sides[2::6], *arrows, color=canvas.ORANGE, width=0.007, scale=9)
    axes.tick_params(labelsize=7.5, colors=canvas.GRAY, labelcolor=canvas.INK)
    axes.set_xlabel("distance to the positive", fontsize=8, color=canvas.INK)
    axes.set_ylabel("distance to the negative", fontsize=8, color=canvas.INK)
    entitle(axes, name, loss)
    wrong = max(-np.diff(values, axis=1).min(), np.diff(values, axis=0).max())
    if not wrong < 1e-3 * np.ptp(values):
        print(f"{name}: not finite, constant, or the wrong way along a distance", file=sys.stderr)


if __name__ == "__main__":
    start_script(main, __doc__)
