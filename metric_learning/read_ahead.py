"""Reading ahead of the work: what is needed next is read in threads while the caller computes."""

import functools
import logging
from collections.abc import Callable, Generator
from typing import TypeVar

What = TypeVar("What")


def read_ahead(
    read: Callable[[int], What], count: int, *, first: int = 0, threads: int = 2
) -> Generator[What, None, None]:
    """Yields `read(first)`, `read(first + 1)`, ... `read(count - 1)`: in order, and the same for any number of threads.

    At most `threads + 1` of them are read before they are asked for, so memory is bounded; the first one is there as
    soon as it is read. The threads end with the generator, which may be closed early.

    Args:
        read: function of a number that many threads may call at once.
        count: one more than the last number.
        first: the first number.
        threads: how many read at once, at least 1. Two keep a reader that has threads of its own, or that only copies
            from a file, as busy as more would.

    Raises:
        ValueError: `threads` below 1; and whatever `read` raises, when its turn comes.

    Example:
        >>> list(read_ahead(lambda step: step**2, 5, first=2))
        [4, 9, 16]
    """
    if threads < 1:
        raise ValueError(f"threads must be at least 1; got {threads}")
    grain = _grain()
    numbers = grain.MapDataset.range(first, count).map(read)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + 1)
    results = iter(numbers.to_iter_dataset(options, allow_nones=True))
    try:
        yield from results
    except Exception as error:  # of `read`; Grain notes on each that its own part of the traceback is left out
        error.__notes__ = [note for note in getattr(error, "__notes__", ()) if "Grain" not in note]
        raise
    finally:
        results.close()


@functools.cache
def _grain():
    """Grain, without its warning that the profiler of JAX, which nobody asked for, is not there."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        import grain
    finally:
        logger.setLevel(level)
    return grain
