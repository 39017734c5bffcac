"""Writes the embeddings of files, texts or features by the encoder of a run.

    python scripts/embed.py run=outputs/RUN items=FOLDER out=vectors.npz

Of images items are a folder or a file; of texts a .txt file with a text in each line; of features a .npy or .npz file.
The file that comes out, .npz or .parquet, has embeddings [n, D], ids, and labels where folders tell them; data=features
reads it. skip_unreadable=true leaves out images that cannot be read; trusted=[] names packages whose code is needed.
"""

import pathlib

import numpy as np

from metric_learning.command_line import start_script, words_of


def main(arguments):
    settings = words_of(arguments, run=None, items=None, out=None, skip_unreadable=False, trusted=[])
    if None in settings.values():
        raise ValueError("expected run=FOLDER items=FOLDER_OR_FILE out=FILE")
    out = pathlib.Path(settings.out)
    if out.suffix not in (".npz", ".parquet"):
        raise ValueError(f"out must end in .npz or .parquet; got {out}")

    import metric_learning
    from metric_learning.data.raw_items import items_in
    from metric_learning.whole_files import in_one_move

    encoder = metric_learning.load(settings.run, trusted=settings.trusted)
    items, names, labels = items_in(settings["items"], encoder.kind)
    rows = encoder.embed(items, skip_unreadable=settings.skip_unreadable)
    kept = np.flatnonzero(np.isfinite(rows).all(axis=1))
    columns = {"id": [names[row] for row in kept]} | (
        {} if labels is None else {"label": [labels[row] for row in kept]}
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with in_one_move(out) as unfinished:
        if out.suffix == ".npz":
            np.savez(unfinished, embeddings=rows[kept], **{name: np.array(column) for name, column in columns.items()})
        else:
            import pyarrow
            import pyarrow.parquet

            vectors = pyarrow.FixedSizeListArray.from_arrays(rows[kept].reshape(-1), encoder.embedding_dim)
            pyarrow.parquet.write_table(pyarrow.table({**columns, "features": vectors}), unfinished)
    print(f"{len(kept):,} embeddings of {encoder.embedding_dim} dimensions in {out}")


if __name__ == "__main__":
    start_script(main, __doc__)
