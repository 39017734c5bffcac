"""How many cores there are for this process."""

import os


def usable_cores() -> int:
    """At least 1; in a container or under `taskset` fewer than the machine has. Quotas of time are not counted."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
