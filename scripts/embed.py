"""Writes the embeddings of files, texts or features by the encoder of a run.

    python scripts/embed.py run=outputs/RUN items=FOLDER out=vectors.npz

Of images items are a folder or a file; of texts a .txt file with a text in each line; of features a .npy or .npz file;
of all a table, whose columns column= and label= name if they are not image, text or features, and label. The file that
comes out, .npz or .parquet, has embeddings [n, D], ids, and labels where there are any; data=features reads it.
skip_unreadable=true leaves out images that cannot be read; trusted=[] names packages whose code is needed.
"""

import pathlib

import numpy as np

import metric_learning
from metric_learning.command_line import start_script, words_of


def main(arguments):
    words = {"run": None, "items": None, "out": None}
    settings = words_of(arguments, **words, column=None, label=None, skip_unreadable=False, trusted=[])
    if None in (settings[name] for name in words):
        raise ValueError("expected run=FOLDER items=FOLDER_OR_FILE out=FILE")
    out = pathlib.Path(settings.out)
    if out.suffix not in (".npz", ".parquet"):
        raise ValueError(f"out must end in .npz or .parquet; got {out}")

    metric_learning.import_tensorflow()
    from metric_learning.evaluation.vector_files import write_parquet
    from metric_learning.index.found import embed_named
    from metric_learning.whole_files import in_one_move

    encoder = metric_learning.load(settings.run, trusted=settings.trusted)
    columns = {"column": settings.column, "label": settings.label}
    found = embed_named(encoder, settings["items"], **columns, skip_unreadable=settings.skip_unreadable)
    columns = {"id": found.names} | ({} if found.labels is None else {"label": found.labels})
    if out.suffix == ".parquet":
        write_parquet(out, encoder.embedding_dim, list(columns), [(found.rows, columns)])
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        with in_one_move(out) as unfinished:
            np.savez(unfinished, embeddings=found.rows, **{name: np.array(column) for name, column in columns.items()})
    print(f"{len(found.rows):,} embeddings of {encoder.embedding_dim} dimensions in {out}")


if __name__ == "__main__":
    start_script(main, __doc__)
