"""What is said of files that cannot be read: all of them at once, and what to do."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from metric_learning.cache_dir import default_cache_dir
from metric_learning.data.items import count
from metric_learning.whole_files import in_one_move

LIST = "unreadable.txt"  # one for all runs, as those that never began leave no folder
_MOST = 20  # names in a message


def refuse_or_warn(problems: Mapping[str, str], of: int, skip_unreadable: bool) -> None:
    """Say which of so many files cannot be read, path -> reason: in a ValueError, or with `skip_unreadable` in a
    warning. Without problems, nothing."""
    if problems:
        message = f"{len(problems):,} of {of:,} images cannot be read: {_named(problems)}"
        if not skip_unreadable:
            raise ValueError(f"{message}. Mend or remove them, or leave them out with data.skip_unreadable=true")
        warnings.warn(f"{message}. They are left out", stacklevel=3)


def refuse_late(problems: Mapping[str, str]) -> None:
    """Raise an OSError that says which files, path -> reason, a run that has begun cannot read."""
    raise OSError(
        f"{count(problems, 'image')} cannot be read: {_named(problems)}. Those that never could be "
        "read want a new run, without them or with data.skip_unreadable=true; others are to be put back as they were"
    )


def _named(problems: Mapping[str, str]) -> str:
    """Some of the files with the reason; of more, all are listed in a file, one a line, in place of those before."""
    first = "; ".join(f"{path} ({problem})" for path, problem in list(problems.items())[:_MOST])
    if len(problems) <= _MOST:
        return first
    file = default_cache_dir() / LIST
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with in_one_move(file) as unfinished:
            unfinished.write_text("".join(f"{path}\n" for path in problems), encoding="utf-8", errors="surrogateescape")
    except OSError:  # a home that cannot be written to
        return f"{first}; and {len(problems) - _MOST:,} more"
    return f"{first}; ..., all listed in {file}"
