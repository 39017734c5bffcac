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
    write_whole(path, json.dumps(data, indent=2) + "\n")


def write_whole(path, text):
    """Writes a text file in one move: it is there complete, or as it was before."""
    path = pathlib.Path(path)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text)
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
        found = subprocess.run(["git", "-C", here, *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None  # not a clone, or no git
    return found.stdout.strip()
