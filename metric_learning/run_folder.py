"""What a run leaves in its folder besides pictures and checkpoints: plain, whole, readable files."""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import types
from collections.abc import Iterator
from typing import Any

fcntl: types.ModuleType | None
try:
    import fcntl
except ImportError:  # Windows, where nothing keeps a second run out
    fcntl = None

PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "hydra-core", "wandb", "faiss-cpu", "numpy")


def new_folder(path: str | pathlib.Path) -> pathlib.Path:
    """Makes a folder that nobody has: the path, or the first of path_2, path_3, ... that is free.

    Returns:
        pathlib.Path.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder, number = path, 1
    while True:
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
        number += 1
        folder = path.with_name(f"{path.name}_{number}")


class Claim:
    """A folder kept for this process until `release`, or until it ends, however it does.

    Args:
        folder: there already.
        name: of the lock file in it; each worker of a cluster has its own.

    Attributes:
        found_empty: whether nothing was in the folder, so that all that comes into it is this process' own.

    Raises:
        ValueError: another process has it.
    """

    def __init__(self, folder: str | pathlib.Path, name: str = ".lock") -> None:
        self.path = pathlib.Path(folder) / name
        self.found_empty = not any(self.path.parent.iterdir())
        self.file = self.path.open("a+", encoding="utf-8")
        try:
            if fcntl is not None:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.file.seek(0)
            owner = self.file.read()
            self.file.close()
            raise ValueError(f"{folder} is in use by process {owner}; wait for its end, or choose another") from None
        except OSError:  # a file system without locks
            pass
        self.file.truncate(0)
        self.file.write(str(os.getpid()))
        self.file.flush()

    def release(self) -> None:
        """Leaves the folder to others, and no trace."""
        self.path.unlink(missing_ok=True)
        self.file.close()


def write_json(path: str | pathlib.Path, data: Any) -> None:
    """Writes plain data as JSON, see `write_whole`."""
    write_whole(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def write_whole(path: str | pathlib.Path, text: str) -> None:
    """Writes a text file in one move, see `in_one_move`.

    UTF-8 on every machine; of a file name that is not, as the system hands it over, escapes stand for the odd bytes.
    """
    with in_one_move(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextlib.contextmanager
def in_one_move(path: str | pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a path to write a file to that then takes the place of `path`: complete, or what was there before stays.

    It lies beside `path` and ends as `path` does, which is how Keras and others tell formats.
    """
    path = pathlib.Path(path)
    unfinished = path.with_name(f".unfinished-{path.name}")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)  # half a file on a full disk, which would keep it full
        raise


def environment(**facts: Any) -> dict[str, Any]:
    """What a result depends on besides its configuration: versions, machine, git commit, and the given facts."""
    return {
        "command": " ".join(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        **facts,
    }


def _git(*arguments):
    try:
        here = pathlib.Path(__file__).parent
        options: dict[str, Any] = {"capture_output": True, "encoding": "utf-8", "timeout": 10, "check": True}
        found = subprocess.run(["git", "-C", here, *arguments], **options)
    except (OSError, UnicodeError, subprocess.SubprocessError):
        return None  # not a clone, or no git
    return found.stdout.strip()
