"""What is said of files that cannot be read: all of them at once, and what to do."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

from metric_learning.data.items import count

_MOST = 20  # names in a message


def refuse_or_warn(problems: Mapping[str | Path, str], of: int, skip_unreadable: bool) -> None:
    """Say which of so many files cannot be read, path -> reason: in a ValueError, or with `skip_unreadable` in a
    warning. Without problems, nothing."""
    if problems:
        message = f"{len(problems):,} of {of:,} images cannot be read: {_named(problems)}"
        if not skip_unreadable:
            raise ValueError(f"{message}. Mend or remove them, or leave them out with data.skip_unreadable=true")
        warnings.warn(f"{message}. They are left out", stacklevel=3)


def refuse_late(problems: Mapping[str | Path, str]) -> None:
    """Raise an OSError that says which files, path -> reason, a run that has begun cannot read."""
    raise OSError(
        f"{count(problems, 'image')} cannot be read: {_named(problems)}. Those that never could be "
        "read want a new run, without them or with data.skip_unreadable=true; others are to be put back as they were"
    )


def _named(problems: Mapping[str | Path, str]) -> str:
    """Some of the files with the reason; of more, all are listed in a file, one a line."""
    first = "; ".join(f"{path} ({problem})" for path, problem in list(problems.items())[:_MOST])
    if len(problems) <= _MOST:
        return first
    with tempfile.NamedTemporaryFile(
        "w", prefix="unreadable-", suffix=".txt", encoding="utf-8", errors="surrogateescape", delete=False
    ) as file:
        file.writelines(f"{path}\n" for path in problems)
    return f"{first}; ..., all listed in {file.name}"
