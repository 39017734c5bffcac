"""As a folder for `metric_learning.load`: the encoder as Keras saves it, and all that says how to feed it."""

from __future__ import annotations

import shutil
from pathlib import Path

from metric_learning.encoder import COLUMNS, THRESHOLDS, VOCABULARY, Encoder
from metric_learning.encoder_files import ABOUT, MODEL, read_about
from metric_learning.whole_files import write_json

PACKAGES = ()
FILES = (MODEL, VOCABULARY, COLUMNS, THRESHOLDS, "data.json", "metrics.json")


def write(encoder: Encoder, folder: Path) -> None:
    """`encoder.keras`, `encoder.json`, and what else the run has of the encoder."""
    for name in FILES:
        if (encoder.folder / name).is_file():
            shutil.copyfile(encoder.folder / name, folder / name)
    write_json(folder / ABOUT, read_about(encoder.folder))


def usage(encoder: Encoder) -> str:
    """Python that defines `embed`, to be run in the folder."""
    return """\
import metric_learning

encoder = metric_learning.load(".")  # this folder, wherever it is


def embed(items):
    return encoder.embed(items, progress=False)
"""
