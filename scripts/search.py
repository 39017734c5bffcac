"""Searches a gallery with the encoder of a run: builds an index, adds to it, and finds what is nearest.

    python scripts/search.py run=outputs/RUN gallery=FOLDER index=INDEX           # build, or add to what is there
    python scripts/search.py run=outputs/RUN index=INDEX query=photo.jpg k=5      # what is nearest, and how far
    python scripts/search.py run=outputs/RUN index=INDEX "query=where is my card" json=true
    python scripts/search.py run=outputs/RUN index=INDEX query=FOLDER out=hits.png    # or hits.csv, hits.json
    python scripts/search.py index=INDEX "remove=[old.jpg,older.jpg]"             # by id, as search.py names them

Of images gallery and query are a folder (its folders are the labels) or a file; of texts a .txt file with a text in
each line, or the text itself; of features a .npy or .npz file; of all a table, whose columns column= and label= name
if they are not image, text or features, and label. Settings: k=5, kind=exact (or ivf, hnsw, pq, sq8, binary: faster on
millions; the share of the nearest that is found is told), new_only=false (true: leave out of the gallery what the index
holds already), rerank=false (true: in a new order, by what rows have in common), expand=0 (3: search again from the
mean of query and the 3 nearest), json=false, skip_unreadable=false, trusted=[] (packages whose code is needed).
match.py says whether the nearest is the same thing. Each 65,536 items are saved: after a kill, new_only=true goes on.
"""

import functools
import pathlib
import sys
import warnings

import metric_learning
from metric_learning.command_line import start_script, words_of


def main(arguments):
    settings = words_of(
        arguments,
        run=None,
        gallery=None,
        index=None,
        query=None,
        remove=None,
        column=None,
        label=None,
        k=5,
        kind=None,
        new_only=False,
        rerank=False,
        expand=0,
        json=False,
        out=None,
        skip_unreadable=False,
        trusted=[],
    )
    tasks = [name for name in ("gallery", "query", "remove") if settings[name] is not None]
    if settings.index is None or len(tasks) != 1 or (settings.run is None and tasks != ["remove"]):
        raise ValueError(
            "expected run=FOLDER index=FOLDER, and gallery=... to fill the index or query=... to search it; or "
            "index=FOLDER remove=ID"
        )
    if settings.expand < 0:
        raise ValueError(f"expand must be at least 0; got {settings.expand}")

    metric_learning.import_tensorflow()
    from metric_learning.index import second_look
    from metric_learning.index.folder import FILLING, claimed
    from metric_learning.index.found import check_out, embed_named, show_found
    from metric_learning.report.pictures import hit_gallery

    check_out(settings.out)
    if tasks == ["remove"]:
        folder = pathlib.Path(settings.index).expanduser()
        index = metric_learning.Index.load(folder)
        several = settings.remove.startswith("[") and settings.remove.endswith("]")
        index.remove(words_of([f"ids={settings.remove}"], ids=[]).ids if several else [settings.remove])
        with claimed(folder, FILLING):
            index.save(folder)
        print(f"{index} in {settings.index}")
        return
    encoder = metric_learning.load(settings.run, trusted=settings.trusted)
    columns = {"column": settings.column, "label": settings.label}
    if tasks == ["gallery"]:
        index = filled(settings, encoder, columns)
        print(f"{index} in {settings.index}")
        return

    index = metric_learning.Index.load(settings.index, encoder)
    asked = embed_named(encoder, settings.query, **columns, skip_unreadable=settings.skip_unreadable)
    found = second_look(index, asked.rows, settings.k, expand=settings.expand, rerank=settings.rerank)
    show_found(asked, found, draw=hit_gallery, as_json=settings.json, out=settings.out)
    if index.recall is not None:
        print(f"this index of kind {index.kind} finds {index.recall:.1%} of the 10 nearest", file=sys.stderr)


def filled(settings, encoder, columns):
    """The index of the folder with the gallery in it; what is there is looked at before anything is embedded."""
    from metric_learning.data.items import some
    from metric_learning.data.named_items import items_in, once
    from metric_learning.index import Index, fill
    from metric_learning.index.folder import FILLING, claimed, written

    folder = pathlib.Path(settings.index).expanduser()
    items, names, labels = items_in(settings.gallery, encoder.kind, **columns)
    with claimed(folder, FILLING):
        exists = written(folder) is not None
        index = Index.load(folder, encoder) if exists else encoder.new_index(settings.kind or "exact")
        if settings.kind not in (None, index.kind):
            raise ValueError(f"the index in {folder} is of kind {index.kind}; for kind={settings.kind} build another")
        there = [name for name in names if name in index]
        if there and not settings.new_only:
            mend = "new_only=true adds the others"
            if encoder.kind in ("features", "ids"):
                mend = "rows without a column or array id are called by their number"
            raise ValueError(f"{len(there):,} of {len(names):,} items are in the index already {some(there)}; {mend}")
        rows = once(names, known=index)
        twice = len(names) - len(there) - len(rows)
        if twice:
            warnings.warn(f"{twice:,} of {len(names):,} items are repetitions by their id, and left out", stacklevel=2)
        if rows or not exists:
            skip = {"skip_unreadable": settings.skip_unreadable}
            embed = functools.partial(encoder.embed, **skip)
            fill(index, embed, items, names, labels=labels, rows=rows, folder=folder, **skip)
        return index


if __name__ == "__main__":
    start_script(main, __doc__)
