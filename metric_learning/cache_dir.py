"""Where files are kept that any run can make again."""

import os
from pathlib import Path


def default_cache_dir() -> Path:
    """`metric_learning` in `$XDG_CACHE_HOME` or `~/.cache`; it need not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "metric_learning"
