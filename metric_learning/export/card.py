"""The model card of an export, in Markdown: what it is, what it was trained on, how well it does, how it is used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from metric_learning.data.column_ids import ColumnIds
from metric_learning.encoder import Encoder
from metric_learning.export.graph_columns import argument_names
from metric_learning.export.inputs import OUTPUT, prepared, takes_texts

# Name of a data source -> whose the data are. Of others only who has them knows.
LICENSES = {
    "emoji": "drawings under Apache-2.0, MIT and CC-BY-4.0 (Twemoji, Emoji One), whose authors must be named; see "
    "metric_learning/data/emoji/LICENSES.md",
    "emoji_text": "Unicode License v3 (CLDR); see metric_learning/data/emoji/LICENSES.md",
    "fashion_mnist": "MIT License, (c) Zalando SE",
}
UNKNOWN = "not known to the program that wrote this card; ask whoever the data are from, and say it here"
TITLES = {"keras": "Keras", "saved_model": "SavedModel", "onnx": "ONNX", "litert": "LiteRT"}
NEEDS = {
    "keras": "`metric_learning`, with TensorFlow and Keras",
    "saved_model": "`tensorflow`, or TensorFlow Serving",
    "onnx": "`onnxruntime` and `numpy`",
    "litert": "`ai-edge-litert` and `numpy`",
}
_EXAMPLES = {
    "images": 'embed(["first.jpg", "second.png"])',
    "texts": 'embed(["a text", "and another"])',
    "features": "embed([[0.0] * {features}, [1.0] * {features}])",
}
_SCORES = {
    "recall@": "recall@k: how many have one of their class among the k nearest.",
    "precision@": "precision@k: how many of the k nearest are of the class.",
    "r_precision": "r_precision: how many of the R nearest are of the class, if R others are.",
    "map@r": "map@r: the same, where an early hit counts for more (mean average precision up to R).",
    "mrr": "mrr: one over the rank of the first of the class.",
}
_DIFFERENCES = {
    "images": """\
Files are decoded in the graph: JPEG (turned as its EXIF says), PNG, GIF, BMP, WebP and JPEG XL. TIFF and others are
refused; pixels of more than 8 bits lose their lower bits, whatever range they fill; what is transparent in a GIF is
black. Sizes, resampling and roundings are those that the encoder was trained with.
""",
    "texts": """\
Texts become token ids in the graph. Those in Unicode's usual form (NFC) and in NFD become the same ids as in training.
What may become others: several marks of one letter in an order that is not Unicode's, and a Greek capital sigma beside
digits or an apostrophe.
""",
}


def card(encoder: Encoder, to: str, usage: str, about: Mapping[str, Any]) -> str:
    """The text of README.md.

    Args:
        encoder: that was exported.
        to: the format.
        usage: Python that defines `embed`.
        about: what is in export.json.
    """
    parts = [
        f"# {_name(encoder)}: {_article(encoder.kind)} to {encoder.embedding_dim} numbers, {TITLES[to]}",
        f"Made by metric_learning: items of one class come to lie near each other, also of classes that it has never "
        f"seen. Distance: **{encoder.distance}**, which grows with difference.",
        "## How to use it",
        f"In this folder, with {_needs(encoder, to)}:",
        f"```python\n{usage.strip()}\n\n\nprint({_example(encoder, to)}.shape)\n```",
        *_more_usage(encoder, to, about),
        "## What it was trained on",
        _data(encoder),
        "## How well it does",
        _scores(encoder),
        _threshold(encoder),
        "## What it is made of",
        _made_of(about),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _name(encoder):
    return encoder.card.get("name") or encoder.folder.resolve().name


def _article(kind):
    return {"images": "images", "texts": "texts", "ids": "rows of a table", "features": "features"}[kind]


def _needs(encoder, to):
    needs = NEEDS[to]
    if to in ("onnx", "litert") and encoder.kind == "images":
        needs = needs.replace(" and `numpy`", ", `numpy` and `pillow`")
    if to == "saved_model" and takes_texts(encoder):
        needs += " with `tensorflow_text` if the tokenizer is KerasHub's"
    return needs


def _example(encoder, to):
    if to == "saved_model" and encoder.kind == "images":
        return 'embed([open("first.jpg", "rb").read()])'
    if to in ("onnx", "litert") and takes_texts(encoder):
        return f"embed([[1, 2, 3] + [0] * {prepared(encoder)[1].shape[-1] - 3}])"
    if isinstance(encoder.vocabulary, ColumnIds):
        cells = {name: "a" if edges is None else 1.0 for name, edges in _columns(encoder.vocabulary)}
        return f"embed([{cells}])"
    return _EXAMPLES[encoder.kind].format(features=encoder.input_shape[0] if encoder.input_shape else "")


def _columns(columns):
    return zip(columns.names, columns.edges, strict=True)


def _more_usage(encoder, to, about):
    if to == "saved_model":
        instance = {
            "images": '{"b64": "<the bytes of a file, in base64>"}',
            "texts": '"a text"',
            "ids": "{" + ", ".join(f'"{name}": ...' for name in _arguments(encoder)) + "}",
            "features": "[0.0, ...]",
        }[encoder.kind]
        yield (
            "With TensorFlow Serving, which takes this folder as it is:\n\n```bash\n"
            'docker run -p 8501:8501 -v "$PWD:/models/encoder" -e MODEL_NAME=encoder tensorflow/serving\n'
            f"curl localhost:8501/v1/models/encoder:predict -d '{{\"instances\": [{instance}]}}'\n```"
        )
        if not takes_texts(encoder):
            yield _DIFFERENCES.get(encoder.kind, "").strip()
    elif to == "keras":
        yield "`encoder.index(items)`, `index.search` and `index.match` of metric_learning find what is near."
    else:
        taken = about["input"]
        shape = ["n" if side is None else side for side in taken["shape"]]
        yield (
            f"The graph takes `{taken['name']}`, {taken['dtype']} {shape}, and gives `{OUTPUT}`, float32 "
            f"[n, {encoder.embedding_dim}], for any n. "
            + (
                "Its token ids come from the tokenizer in the folder `tokenizer`, which KerasHub reads; a text is cut "
                "or padded to the length that `export.json` states."
                if takes_texts(encoder)
                else "`preprocess.py` makes the first of items; `export.json` says how, for other languages."
            )
        )


def _arguments(encoder):
    return argument_names(encoder.vocabulary.names) if isinstance(encoder.vocabulary, ColumnIds) else []


def _data(encoder):
    splits = encoder.card.get("splits", {})
    lines = ["| split | classes | items |", "|---|--:|--:|"]
    lines += [f"| {name} | {split['classes']:,} | {split['items']:,} |" for name, split in splits.items()]
    unseen = encoder.card.get("unseen_classes")
    seen = {True: "No class is in two splits.", False: "Classes of the test were learned from, too."}.get(unseen, "")
    license_ = LICENSES.get(_name(encoder), UNKNOWN)
    table = "\n".join(lines) if splits else "Nothing is known: the folder of the run had no data.json."
    return f"{_name(encoder)}. {seen}\n\n{table}\n\nLicense of the data: {license_}."


def _scores(encoder):
    scores, bounds = encoder.scores, encoder.scores.get("intervals", {})
    names = [name for name, value in scores.items() if name.startswith("test/") and isinstance(value, float)]
    if not names:
        return "It has not been judged."
    lines = ["| on the test split | score | 95 % interval | before training |", "|---|--:|--:|--:|"]
    for name in names:
        low, high = bounds.get(name, (math.nan, math.nan))
        interval = f"{low:.3f} to {high:.3f}" if math.isfinite(low) else "-"
        before = scores.get(f"untrained/{name}")
        untrained = f"{before:.3f}" if isinstance(before, float) else "-"
        lines.append(f"| {name.removeprefix('test/')} | {scores[name]:.3f} | {interval} | {untrained} |")
    means = [text for name, text in _SCORES.items() if any(f"/{name}" in each for each in names)]
    return (
        "\n".join(lines)
        + "\n\n"
        + " ".join(["Means over items of the test split, each looked up among the others.", *means])
    )


def _threshold(encoder):
    found = encoder.calibration
    if not found:
        return (
            "No threshold has been chosen: `python scripts/calibrate.py run=outputs/RUN precision=0.95`, then export."
        )
    rates = ", ".join(
        f"{name} {value:.3f} ({low:.3f} to {high:.3f})" for name, (value, low, high) in found["rates"].items()
    )
    wanted = found["target"] + ("" if found.get("value") is None else f"={found['value']}")
    of_pairs = found.get("of") == "pairs"
    where = "pairs of items" if of_pairs else "new classes in a gallery like that which it was chosen on"
    between = " ({:.4f} to {:.4f})".format(*found["interval"]) if "interval" in found else ""
    return (
        f"Two items match up to a distance of **{found['threshold']:.4f}**{between}, chosen for {wanted}: {rates}, "
        f"with 95 % intervals, for {where}."
    )


def _made_of(about):
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    checked = about["checked"]
    tried = (
        f"Tried in a process of its own on {checked['items']} items of the test split: its embeddings differ from the "
        f"encoder's by {checked['largest_difference']:.1e} at most."
        if checked["items"]
        else "It has not been tried (check=0)."
    )
    licensed = "What is metric_learning's own here, such as `preprocess.py`, is under the Apache License 2.0."
    return f"SHA-256 of the encoder: `{about['encoder']}`. Made with {packages}. {tried} {licensed}"
