"""The items that a run was started with, as a table in its folder, and what differs from them later."""

from __future__ import annotations

import csv as csv_format
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from metric_learning.data.items import copies, count, repeated_items, shared_items, some
from metric_learning.labels import class_words
from metric_learning.whole_files import write_json, write_whole

if TYPE_CHECKING:  # which imports this module
    from metric_learning.data.source import DataSource

_COLUMNS = ("split", "id", "class", "content")


class Item(NamedTuple):
    """A row of a split, as a run remembers it: the id, the name of its class, and `contents` of it."""

    id: str
    class_name: str
    content: str


def save(source: DataSource, folder: Path) -> None:
    """Write what a run must remember of the items of a `DataSource`.

    `items.csv` has the id, class and content of every item, `classes.json` the names of each split's classes, and
    `data.json` counts: classes and items, how many items a class has, those listed again or in two splits, and copies.
    """
    items = _items_of(source)
    write_whole(folder / "items.csv", to_table(items))
    write_json(folder / "classes.json", {name: source.names_of(split) for name, split in source.splits.items()})
    write_json(folder / "data.json", source.card)


def changes_since(source: DataSource, folder: Path) -> str:
    """In one line, what differs from the items of the source that was saved in the folder; "" if nothing does.

    Raises:
        ValueError: there is no `items.csv` to compare with.
    """
    path = folder / "items.csv"
    if not path.is_file():
        raise ValueError(f"there is no {path}, so nothing to compare the data with")
    return differences(from_table(path), _items_of(source))


def _items_of(source) -> dict[str, list[Item]]:
    """Split name -> its items, in their order; the id of a row without one is its number."""
    items = {}
    for name, split in source.splits.items():
        ids = range(len(split)) if split.ids is None else split.ids
        rows = zip(ids, split.labels, source.contents[name], strict=True)
        items[name] = [Item(str(key), class_words(label, source.class_names), content) for key, label, content in rows]
    return items


def card(source: DataSource) -> dict:
    """What `data.json` says of a source, see `save`."""
    items = _items_of(source)
    listed_again = {name: len(rows) for name, rows in repeated_items(source.splits).items()}
    return {
        "name": source.name,
        "kind": source.kind,
        "input_shape": list(source.input_shape),
        "unseen_classes": source.unseen_classes,
        "splits": {
            name: {
                "classes": len(split.classes),
                "items": len(split),
                "class_sizes": _sizes(split),
                "listed_again": listed_again.get(name, 0),
                "hash": hashlib.blake2b(to_table({name: items[name]}).encode(), digest_size=16).hexdigest(),
            }
            for name, split in source.splits.items()
        },
        "in_two_splits": {" and ".join(names): len(rows) for names, rows in shared_items(source.splits).items()},
        "copies": {
            " and ".join(dict.fromkeys(names)): len(rows)
            for names, rows in copies(source.splits, source.contents).items()
        },
    }


def _sizes(split) -> dict:
    """Items of a class: of the smallest, of the one in the middle, and of the largest."""
    sizes = split.class_sizes
    return {"smallest": int(sizes.min()), "median": float(np.median(sizes)), "largest": int(sizes.max())}


def to_table(items: dict[str, list[Item]]) -> str:
    """Split name -> items as the text of a CSV file with the columns split, id, class and content."""
    text = io.StringIO()
    writer = csv_format.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((name, *item) for name, rows in items.items() for item in rows)
    return text.getvalue()


def from_table(path: Path) -> dict[str, list[Item]]:
    """What `to_table` wrote."""
    items: dict[str, list[Item]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv_format.DictReader(file):
            items.setdefault(row["split"], []).append(Item(row["id"], row["class"], row["content"]))
    return items


def differences(before: dict[str, list[Item]], now: dict[str, list[Item]]) -> str:
    """In a line, how the items of some splits differ from those before: "" if they do not.

    Such as "test: 1 class added (zebra), 6 items added (zebra/0.png, zebra/1.png, zebra/2.png, ...)".
    """
    parts = []
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name, []), now.get(name, [])
        if old == new:
            continue
        said = [
            *_added_and_removed("class", [item.class_name for item in old], [item.class_name for item in new]),
            *_added_and_removed("item", [item.id for item in old], [item.id for item in new]),
        ]
        kept = {item.id for item in old} & {item.id for item in new}
        changed = {item.id for item in set(old) ^ set(new)} & kept
        if changed:
            said.append(f"{count(changed, 'item')} changed {some(item.id for item in new if item.id in changed)}")
        parts.append(f"{name}: {', '.join(said) or 'the items are in another order or number'}")
    return "; ".join(parts)


def _added_and_removed(what: str, old: list[str], new: list[str]) -> Iterable[str]:
    for verb, there, missing in (("added", new, set(old)), ("removed", old, set(new))):
        names = [name for name in dict.fromkeys(there) if name not in missing]
        if names:
            yield f"{count(names, what)} {verb} {some(names)}"
