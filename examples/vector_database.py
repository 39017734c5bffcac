"""Embeddings in a vector database that needs no server: LanceDB, with the distance and the threshold of the run.

    python scripts/embed.py run=outputs/RUN items=FOLDER out=vectors.parquet
    python examples/vector_database.py vectors=vectors.parquet database=DATABASE                         # fill it
    python examples/vector_database.py run=outputs/RUN database=DATABASE query=photo.jpg                 # nearest
    python examples/vector_database.py run=outputs/RUN database=DATABASE query=photo.jpg "where=label = 'ant'"

pip install -c constraints.txt -e ".[database]" brings what it needs. Without an index of its own LanceDB compares all
rows, so that it finds what scripts/search.py finds; it filters by any column, and the table may be larger than memory.
Of 20,000 rows of 128 numbers it wrote all in 0.2 s and answered in 10 ms, as Qdrant's local mode did of 5,000, which it
took 21 s to write.
"""

import pathlib
from typing import Any

from metric_learning.command_line import start_script, words_of

TABLE = "items"
# Metrics of LanceDB -> what is ours. It has none for snr.
METRICS = {"cosine": "cosine", "euclidean": "l2", "squared_euclidean": "l2", "dot": "dot"}


def fill(database: str | pathlib.Path, vectors: str | pathlib.Path) -> int:
    """Writes the rows of a Parquet file, as `scripts/embed.py` leaves it, and returns how many there are.

    Args:
        database: folder; a table that is there is replaced.
        vectors: the file, with a column `features` of lists of one length, and any others.
    """
    import lancedb
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(vectors).rename_columns({"features": "vector"})
    lancedb.connect(str(database)).create_table(TABLE, rows, mode="overwrite")
    return rows.num_rows


def nearest(
    database: str | pathlib.Path, query: Any, distance: str, k: int = 5, where: str | None = None
) -> list[dict[str, Any]]:
    """The k nearest rows of one embedding, as dicts of their columns and `distance`, which is that of the run.

    Args:
        database: see `fill`.
        query: [D] float32.
        distance: of the encoder.
        k: how many.
        where: an SQL condition on the columns, such as "label = 'ant'".

    Raises:
        ValueError: a distance that LanceDB does not have.
    """
    import lancedb

    if distance not in METRICS:
        raise ValueError(f"distance must be one of {', '.join(METRICS)} for LanceDB; got {distance!r}")
    search = lancedb.connect(str(database)).open_table(TABLE).search(query).distance_type(METRICS[distance]).limit(k)
    found = search.where(where).to_list() if where else search.to_list()
    return [
        {name: value for name, value in row.items() if name not in ("vector", "_distance")}
        | {"distance": _ours(row["_distance"], distance)}
        for row in found
    ]


def _ours(value, distance):
    """LanceDB's l2 is the square, and its dot 1 - x.y."""
    return value**0.5 if distance == "euclidean" else value - 1.0 if distance == "dot" else value


def main(arguments: list[str]) -> None:
    settings = words_of(arguments, database=None, vectors=None, run=None, query=None, k=5, where=None, trusted=[])
    if settings.database is None or (settings.vectors is None) == (settings.query is None):
        raise ValueError("expected database=FOLDER, and vectors=FILE to fill it or run=FOLDER query=FILE to search it")
    if settings.vectors is not None:
        print(f"{fill(settings.database, settings.vectors):,} rows in {settings.database}")
        return
    if settings.run is None:
        raise ValueError("query needs run=FOLDER, the encoder that made the vectors; got none")

    import metric_learning
    from metric_learning.data.named_items import items_in

    encoder = metric_learning.load(settings.run, trusted=settings.trusted)
    limit = encoder.calibration.get("threshold")
    items, names, _ = items_in(settings.query, encoder.kind)
    for name, row in zip(names, encoder.embed(items), strict=True):
        print(name)
        for hit in nearest(settings.database, row, encoder.distance, settings.k, settings.where):
            match = "" if limit is None else "  match" if hit["distance"] <= limit else "  no match"
            print(f"  {hit['distance']:8.4f}  {hit['id']}{match}")


if __name__ == "__main__":
    start_script(main, __doc__)
