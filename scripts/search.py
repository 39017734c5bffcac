"""Searches a gallery with the encoder of a run: builds an index, adds to it, and finds what is nearest.

    python scripts/search.py run=outputs/RUN gallery=FOLDER index=INDEX           # build, or add to what is there
    python scripts/search.py run=outputs/RUN index=INDEX query=photo.jpg k=5      # what is nearest, and how far
    python scripts/search.py run=outputs/RUN index=INDEX "query=where is my card" json=true
    python scripts/search.py run=outputs/RUN index=INDEX query=FOLDER out=hits.png    # or hits.csv, hits.json
    python scripts/search.py index=INDEX "remove=[old.jpg,older.jpg]"             # by id, as search.py names them

Of images gallery and query are a folder (its folders are the labels) or a file; of texts a .txt file with a text in
each line, or the text itself; of features a .npy or .npz file. Settings: k=5, kind=exact (or ivf, hnsw, pq, sq8,
binary: faster on millions; the share of the nearest that is found is told), rerank=false (true: in a new order, by what
rows have in common), expand=0 (3: search again from the mean of query and the 3 nearest), json=false,
skip_unreadable=false, trusted=[] (packages whose code is needed). match.py says whether the nearest is the same thing.
"""

import pathlib
import sys

from metric_learning.command_line import start_script, words_of


def main(arguments):
    settings = words_of(
        arguments,
        run=None,
        gallery=None,
        index=None,
        query=None,
        remove=None,
        k=5,
        kind="exact",
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

    import metric_learning
    from metric_learning.data.raw_items import items_in
    from metric_learning.index import second_look
    from metric_learning.index.found import check_out, embed_named, show_found
    from metric_learning.report.pictures import hit_gallery

    check_out(settings.out)
    if tasks == ["remove"]:
        index = metric_learning.Index.load(settings.index)
        several = settings.remove.startswith("[") and settings.remove.endswith("]")
        index.remove(words_of([f"ids={settings.remove}"], ids=[]).ids if several else [settings.remove])
        index.save(settings.index)
        print(f"{index} in {settings.index}")
        return
    encoder = metric_learning.load(settings.run, trusted=settings.trusted)
    if tasks == ["gallery"]:
        items, names, labels = items_in(settings.gallery, encoder.kind)
        options = {"labels": labels, "skip_unreadable": settings.skip_unreadable}
        built = encoder.index(items, ids=names, kind=settings.kind, **options)
        exists = (pathlib.Path(settings.index) / "index.json").exists()
        index = metric_learning.Index.load(settings.index, encoder) if exists else built
        if exists:
            index.merge(built)
        index.save(settings.index)
        print(f"{index} in {settings.index}")
        return

    index = metric_learning.Index.load(settings.index, encoder)
    asked = embed_named(encoder, settings.query, skip_unreadable=settings.skip_unreadable)
    found = second_look(index, asked.rows, settings.k, expand=settings.expand, rerank=settings.rerank)
    show_found(asked, found, draw=hit_gallery, as_json=settings.json, out=settings.out)
    if index.recall is not None:
        print(f"this index of kind {index.kind} finds {index.recall:.1%} of the 10 nearest", file=sys.stderr)


if __name__ == "__main__":
    start_script(main, __doc__)
