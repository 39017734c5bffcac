"""What a run leaves in its folder besides pictures and checkpoints: plain, whole, readable files."""

import importlib.metadata
import json
import pathlib
import platform
import subprocess
import sys

PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "hydra-core", "wandb", "faiss-cpu", "numpy")


def write_json(path, data):
    """Writes plain data as JSON, see `write_whole`."""
    write_whole(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def write_whole(path, text):
    """Writes a text file in one move: it is there complete, or as it was before.

    UTF-8 on every machine; of a file name that is not, as the system hands it over, escapes stand for the odd bytes.
    """
    path = pathlib.Path(path)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")
    unfinished.replace(path)


def environment(**facts):
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
        options = {"capture_output": True, "encoding": "utf-8", "timeout": 10, "check": True}
        found = subprocess.run(["git", "-C", here, *arguments], **options)
    except (OSError, UnicodeError, subprocess.SubprocessError):
        return None  # not a clone, or no git
    return found.stdout.strip()
