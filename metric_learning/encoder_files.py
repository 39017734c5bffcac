"""What lies beside a saved encoder, and says how to feed it."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from metric_learning.versions import versions
from metric_learning.whole_files import in_one_move, write_json

if TYPE_CHECKING:  # and not when it runs: scripts read such files before they need Keras
    import keras

ABOUT = "encoder.json"
MODEL = "encoder.keras"
PACKAGES = ("tensorflow", "keras")


def save_encoder(
    folder: str | Path, encoder: "keras.Model", source: Any, distance: str, target: str | None = None
) -> None:
    """Writes `encoder.keras` and `encoder.json`, see `describe_encoder`. A file that holds the same encoder stays as it
    is, to the last byte, as a run that was finished and is gone through again would else disown its indexes: Keras
    writes the time into its files.

    Args:
        encoder: to save; what it was compiled with is left out of the comparison.
        folder, source, distance, target: see `describe_encoder`.
    """
    folder = Path(folder)
    known, contents = read_json(folder / ABOUT), contents_of(encoder)
    there = (folder / MODEL).is_file() and known.get("sha256") == sha256(folder / MODEL)
    if not there or known.get("contents") != contents:
        with in_one_move(folder / MODEL) as unfinished:
            encoder.save(unfinished)
    describe_encoder(folder, source, distance, target, contents)


def contents_of(encoder: "keras.Model") -> str:
    """A fingerprint of the layers and the weights of a model, in hexadecimal."""
    found = hashlib.sha256(json.dumps([type(encoder).__name__, encoder.get_config()], default=repr).encode())
    for weight in encoder.weights:
        values = np.ascontiguousarray(weight)
        found.update(f"{values.dtype} {values.shape} ".encode())
        found.update(values.tobytes())
    return found.hexdigest()


def describe_encoder(
    folder: str | Path, source: Any, distance: str, target: str | None = None, contents: str | None = None
) -> None:
    """Writes `encoder.json` beside the `encoder.keras` of a run: what `load` must know to feed it.

    Args:
        folder: of the run.
        source: `DataSource` that it was trained on.
        distance: by which its embeddings are compared.
        target: the function that made an encoder of one's own.
        contents: of the encoder, as `contents_of` tells.
    """
    about = {
        "kind": source.kind,
        "input_shape": list(source.input_shape),
        "fit": source.fit if source.kind == "images" else None,
        "distance": distance,
        "data": source.name,
        "target": target,
        "packages": versions(PACKAGES),
        "sha256": sha256(Path(folder) / MODEL),
        "contents": contents,
    }
    write_json(Path(folder) / ABOUT, about)


def read_about(folder: Path) -> dict[str, Any]:
    """`encoder.json`, or for a run of before there was one, the same from its configuration."""
    about = read_json(folder / ABOUT)
    if about:
        return about
    config = folder / "config.yaml"
    if not config.is_file():
        raise ValueError(f"load needs {ABOUT} or config.yaml beside {MODEL}; there is neither in {folder}")
    cfg = yaml.safe_load(config.read_text(encoding="utf-8"))
    card = read_json(folder / "data.json")
    if not card:
        raise ValueError(f"{folder} is of a run from before data.json was written; run it again")
    return {
        "kind": card["kind"],
        "input_shape": card["input_shape"],
        "fit": cfg["data"].get("fit"),
        "distance": cfg["distance"],
        "target": cfg["encoder"].get("target"),
    }


def read_json(path: Path) -> dict[str, Any]:
    """What is in a file of JSON; {} if there is none.

    Raises:
        ValueError: it is damaged.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    return found


def sha256(path: Path) -> str:
    """Of the contents of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
