"""What a search or a match found, for people and for programs: a table of text, JSON, CSV, a picture."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metric_learning.data.boxes import parted
from metric_learning.data.images import read_image
from metric_learning.data.named_items import items_in
from metric_learning.index.shard import Hit
from metric_learning.whole_files import in_one_move, write_whole

FORMS = (".json", ".csv", ".png")
Found = Sequence[Sequence[Hit]]  # of each query, nearest first; none where there is no match
_TILE = 88  # pixels of an image in a picture


class Named(NamedTuple):
    """Items that a person named on a command line, and what is known of them.

    Attributes:
        kind: "images", "texts", "ids" or "features".
        items: n of them.
        names: [n]; of images their paths, of texts the texts.
        labels: [n]; None if there are none.
        rows: float32 [n, D], their embeddings.
    """

    kind: str
    items: Any
    names: list[str]
    labels: list[str] | None
    rows: np.ndarray


def embed_named(
    encoder: Any,
    what: str | Path,
    *,
    column: str | None = None,
    label: str | None = None,
    skip_unreadable: bool = False,
) -> Named:
    """The items that a person names on a command line, with their embeddings.

    Args:
        encoder: `metric_learning.Encoder`.
        what, column, label: see `metric_learning.data.named_items.items_in`.
        skip_unreadable: leave images that cannot be read out, with a warning.
    """
    items, names, labels = items_in(what, encoder.kind, column=column, label=label)
    rows = encoder.embed(items, skip_unreadable=skip_unreadable)
    kept = np.flatnonzero(np.isfinite(rows).all(axis=1)) if skip_unreadable else np.arange(len(rows))
    kept_labels = None if labels is None else [labels[row] for row in kept]
    return Named(encoder.kind, [items[row] for row in kept], [names[row] for row in kept], kept_labels, rows[kept])


def check_out(out: str | Path | None) -> None:
    """Raises ValueError unless `out` is None or the name of a file that `show_found` can write."""
    if out is not None and Path(out).suffix not in FORMS:
        raise ValueError(f"out must end in {', '.join(FORMS)}; got {out}")


def show_found(
    queries: Named,
    found: Found,
    *,
    draw: Callable[..., Path],
    as_json: bool = False,
    out: str | Path | None = None,
) -> None:
    """Prints what was found, or writes it to a file.

    Args:
        queries: n of them.
        found: [n].
        draw: `metric_learning.report.pictures.hit_gallery`.
        as_json: print JSON rather than a table.
        out: a file of .json, .csv or .png.
    """
    names = queries.names
    if out is None:
        print(in_json(names, found) if as_json else as_text(names, found))
        return
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".json":
        write_whole(out, in_json(names, found) + "\n")
    elif out.suffix == ".csv":
        write_whole(out, in_csv(names, found))
    else:
        image_of = _image_at if queries.kind == "images" else None
        with in_one_move(out) as unfinished:
            draw(unfinished, names, found, labels=queries.labels, image_of=image_of)
    print(f"what was found for {len(names):,} queries is in {out}")


def _image_at(name: str) -> np.ndarray | None:
    """uint8 [88, 88, 3] of a file or a box in it, None if it is not there or no image."""
    path, box = (name, None) if Path(name).is_file() else parted(name)
    found = read_image(path, box, image_size=_TILE, channels=3, fit="letterbox") if Path(path).is_file() else ""
    return None if isinstance(found, str) else found


def as_text(names: Sequence[str], found: Found) -> str:
    """A line for each query, and below it one for each hit: distance, id and label."""
    lines = []
    for name, hits in zip(names, found, strict=True):
        lines.append(name if hits else f"{name}  no match")
        lines += [f"  {hit.distance:8.4f}  {hit.id}" + (f"  ({hit.label})" if hit.label else "") for hit in hits]
    return "\n".join(lines)


def in_json(names: Sequence[str], found: Found) -> str:
    answers = [
        {"query": name, "hits": [hit._asdict() for hit in hits]} for name, hits in zip(names, found, strict=True)
    ]
    return json.dumps(answers, ensure_ascii=False, indent=1)


def in_csv(names: Sequence[str], found: Found) -> str:
    """Columns query, rank (from 1), distance, id, label; a query without a match has a row with its name alone."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["query", "rank", "distance", "id", "label"])
    for name, hits in zip(names, found, strict=True):
        for rank, hit in enumerate(hits, 1):
            writer.writerow([name, rank, hit.distance, hit.id, hit.label or ""])
        if not hits:
            writer.writerow([name, "", "", "", ""])
    return text.getvalue()
