"""Working on the next one of many while the caller works on what it has got."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


def one_ahead(function: Callable[[Item], Found], items: Sequence[Item], pool: ThreadPoolExecutor) -> Iterator[Found]:
    """Yields `function(item)` of each item, in order, while the pool works on the next one; a single item needs no
    thread."""
    if len(items) < 2:
        yield from map(function, items)
        return
    following = pool.submit(function, items[0])
    for item in items[1:]:
        found, following = following.result(), pool.submit(function, item)
        yield found
    yield following.result()
