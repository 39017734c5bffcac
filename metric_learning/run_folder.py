"""The folder of a run: a new one, one that is kept from others, and the circumstances that are noted in it."""

import contextlib
import os
import pathlib
import platform
import subprocess
import sys
import types
from typing import Any

from metric_learning.versions import versions

fcntl: types.ModuleType | None
try:
    import fcntl
except ImportError:  # Windows, where nothing keeps a second run out
    fcntl = None

LAST = pathlib.PurePath("checkpoints", "last.npz")  # which shows that training began
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
        self.file = self._locked()
        while not self._is_in_the_folder():  # whoever had it before took the file away between opening and locking
            self.file.close()
            self.file = self._locked()
        self.file.truncate(0)
        self.file.write(str(os.getpid()))
        self.file.flush()

    def _locked(self):
        file = self.path.open("a+", encoding="utf-8")
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read()
            file.close()
            folder = self.path.parent
            raise ValueError(f"{folder} is in use by process {owner}; wait for its end, or choose another") from None
        except OSError:  # a file system without locks
            pass
        return file

    def _is_in_the_folder(self):
        try:
            return os.path.samestat(os.fstat(self.file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Leaves the folder to others, and no trace."""
        self.path.unlink(missing_ok=True)
        self.file.close()


def environment(**facts: Any) -> dict[str, Any]:
    """What a result depends on besides its configuration: versions, machine, git commit, and the given facts."""
    return {
        "command": " ".join(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions(PACKAGES),
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
