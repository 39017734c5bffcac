"""Checkpoints that survive a kill at any moment: one file each, replaced in one move."""

import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from metric_learning.whole_files import in_one_move

_META = "meta"


class CheckpointError(ValueError):
    """A checkpoint that is not there, is damaged, or is of another model; the message says which."""

    came_late = False  # whenever it comes, it is about a file and not about the code


def save(path: str | pathlib.Path, variables: Sequence[keras.Variable], meta: dict[str, Any]) -> None:
    """Writes variables and plain data to one file.

    The file appears complete or not at all: a process killed while writing leaves the previous one.

    Args:
        path: of the file, ending in .npz.
        variables: Keras variables, in an order that `restore` will see again.
        meta: anything JSON can hold.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {"names": [variable.path for variable in variables], **meta}
    arrays: dict[str, Any] = {_META: np.array(json.dumps(meta))}
    arrays |= {f"{i:05d}": variable.numpy() for i, variable in enumerate(variables)}
    with in_one_move(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())


def restore(path: str | pathlib.Path, variables: Sequence[keras.Variable]) -> dict[str, Any]:
    """Assigns the values of `save` to the same variables.

    Returns:
        The plain data.

    Raises:
        CheckpointError: see `read`, or variables that differ from the saved ones; nothing is assigned then.
    """
    meta, values = read(path)
    saved = [tuple(value.shape) for value in values]
    wanted = [tuple(variable.shape) for variable in variables]
    if saved != wanted:
        differing = [i for i, pair in enumerate(zip(saved, wanted, strict=False)) if pair[0] != pair[1]]
        first = differing[0] if differing else min(len(saved), len(wanted))
        raise CheckpointError(
            f"{path} holds {len(saved)} variables and the model has {len(wanted)}; the first that differs is number "
            f"{first}, saved {saved[first : first + 1]}, wanted {wanted[first : first + 1]}"
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return meta


def read(path: str | pathlib.Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """All that `save` wrote, every byte of it checked.

    Returns:
        The plain data, and the arrays of the variables.

    Raises:
        CheckpointError: no such file, no checkpoint, a byte that changed, or NaN in a variable.
    """
    path = pathlib.Path(path)
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            meta = json.loads(file[_META].item())
            values = [file[f"{i:05d}"] for i in range(len(meta["names"]))]
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except (EOFError, KeyError, NotImplementedError, OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"{path} is no checkpoint of this project, or is damaged: {error}") from None
    for name, value in zip(meta["names"], values, strict=True):
        # Infinite are what some losses remember before their first batch.
        if value.dtype.kind == "f" and np.isnan(value).any():
            raise CheckpointError(f"{path} is damaged: {name} has entries that are NaN")
    return meta, values
