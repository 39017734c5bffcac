"""What lies beside a saved encoder, and says how to feed it."""

import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import yaml

from metric_learning.whole_files import write_json

ABOUT = "encoder.json"
MODEL = "encoder.keras"
PACKAGES = ("tensorflow", "keras")


def describe_encoder(folder: str | Path, source: Any, distance: str, target: str | None = None) -> None:
    """Writes `encoder.json` beside the `encoder.keras` of a run: what `load` must know to feed it.

    Args:
        folder: of the run.
        source: `DataSource` that it was trained on.
        distance: by which its embeddings are compared.
        target: the function that made an encoder of one's own.
    """
    about = {
        "kind": source.kind,
        "input_shape": list(source.input_shape),
        "fit": source.fit if source.kind == "images" else None,
        "distance": distance,
        "data": source.name,
        "target": target,
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "sha256": sha256(Path(folder) / MODEL),
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
