"""Says which item of an index is the same thing as a query: the nearest, if it is within the threshold, or none.

    python scripts/match.py run=outputs/RUN index=INDEX query=photo.jpg
    python scripts/match.py run=outputs/RUN index=INDEX query=FOLDER out=matches.csv    # or matches.json, matches.png
    python scripts/match.py run=outputs/RUN index=INDEX "query=where is my card" threshold=0.3 json=true

search.py builds the index and says what query, column and label are; calibrate.py finds the threshold. threshold= takes
another one, or threshold=run that of the run where the index keeps an older one. Settings: json=false,
skip_unreadable=false, trusted=[] (packages whose code is needed).
"""

import sys

import metric_learning
from metric_learning.command_line import start_script, words_of


def main(arguments):
    words = {"run": None, "index": None, "query": None, "threshold": None, "column": None, "label": None}
    options = {"json": False, "out": None, "skip_unreadable": False, "trusted": []}
    settings = words_of(arguments, **words, **options)
    if settings.run is None or settings.index is None or settings.query is None:
        raise ValueError("expected run=FOLDER index=FOLDER query=...")

    metric_learning.import_tensorflow()
    from metric_learning.index.found import check_out, embed_named, show_found
    from metric_learning.report.pictures import hit_gallery

    check_out(settings.out)
    try:
        limit = None if settings.threshold in (None, "run") else float(settings.threshold)
    except ValueError:
        raise ValueError(f"threshold must be a number or run; got {settings.threshold}") from None
    encoder = metric_learning.load(settings.run, trusted=settings.trusted)
    index = metric_learning.Index.load(settings.index, encoder)
    if settings.threshold == "run":
        index.take_threshold(encoder)
    columns = {"column": settings.column, "label": settings.label}
    asked = embed_named(encoder, settings.query, **columns, skip_unreadable=settings.skip_unreadable)
    found = [[hit] if hit else [] for hit in index.match(asked.rows, limit)]
    show_found(asked, found, draw=hit_gallery, as_json=settings.json, out=settings.out)
    if limit is None:
        chosen_on = index.chosen_on or "on what the index does not know"
        print(f"a match is within {index.threshold:.4f}, chosen {chosen_on}", file=sys.stderr)
    if index.recall is not None:
        print(f"this index of kind {index.kind} finds {index.recall:.1%} of the 10 nearest", file=sys.stderr)


if __name__ == "__main__":
    start_script(main, __doc__)
