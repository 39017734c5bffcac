"""Searches a gallery with the encoder of a run: builds an index, adds to it, and finds what is nearest.

    python scripts/search.py run=outputs/RUN gallery=FOLDER index=INDEX           # build, or add to what is there
    python scripts/search.py run=outputs/RUN index=INDEX query=photo.jpg k=5      # what is nearest, and how far
    python scripts/search.py run=outputs/RUN index=INDEX query=FOLDER match=true  # the one match of each, or none
    python scripts/search.py run=outputs/RUN index=INDEX "query=where is my card" json=true

Of images gallery and query are a folder (its folders are the labels) or a file; of texts a .txt file with a text in
each line, or the text itself; of features a .npy or .npz file. Settings: k=5, kind=exact (or ivf, hnsw, pq, sq8,
binary: faster on millions; the share of the nearest that is found is told), match=false, threshold= (that of
scripts/calibrate.py unless given), rerank=false (true: in a new order, by what rows have in common), expand=0 (3:
search again from the mean of query and the 3 nearest), json=false, skip_unreadable=false, trusted=[] (packages whose
code is needed).
"""

import json
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
        k=5,
        kind="exact",
        match=False,
        threshold=None,
        rerank=False,
        expand=0,
        json=False,
        skip_unreadable=False,
        trusted=[],
    )
    if settings.run is None or settings.index is None or (settings.gallery is None) == (settings.query is None):
        raise ValueError(
            "expected run=FOLDER index=FOLDER, and gallery=... to fill the index or query=... to search it"
        )

    if settings.match and (settings.rerank or settings.expand):
        raise ValueError("match=true goes by the threshold of the run, whose distances rerank and expand change")

    import metric_learning
    from metric_learning.data.raw_items import items_in
    from metric_learning.index import second_look

    encoder = metric_learning.load(settings.run, trusted=settings.trusted)
    exists = (pathlib.Path(settings.index) / "index.json").exists()
    items, names, labels = items_in(settings.query or settings.gallery, encoder.kind)
    if settings.gallery is not None:
        options = {"labels": labels, "skip_unreadable": settings.skip_unreadable}
        built = encoder.index(items, ids=names, kind=settings.kind, **options)
        index = metric_learning.Index.load(settings.index, encoder) if exists else built
        if exists:
            index.merge(built)
        index.save(settings.index)
        print(f"{index} in {settings.index}")
        return

    index = metric_learning.Index.load(settings.index, encoder)
    rows = encoder.embed(items)
    if settings.match:
        limit = None if settings.threshold is None else float(settings.threshold)
        index.threshold = index.threshold if index.threshold is not None else encoder.calibration.get("threshold")
        found = [[hit] if hit else [] for hit in index.match(rows, limit)]
    else:
        found = second_look(index, rows, settings.k, expand=settings.expand, rerank=settings.rerank)
    if settings.json:
        answers = [
            {"query": name, "hits": [hit._asdict() for hit in hits]} for name, hits in zip(names, found, strict=True)
        ]
        print(json.dumps(answers, ensure_ascii=False, indent=1))
    else:
        for name, hits in zip(names, found, strict=True):
            print(name if hits else f"{name}  no match")
            for hit in hits:
                print(f"  {hit.distance:8.4f}  {hit.id}" + (f"  ({hit.label})" if hit.label else ""))
    if index.recall is not None:
        print(f"this index of kind {index.kind} finds {index.recall:.1%} of the 10 nearest", file=sys.stderr)


if __name__ == "__main__":
    start_script(main, __doc__)
