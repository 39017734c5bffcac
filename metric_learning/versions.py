"""What versions of packages a result was made with."""

import importlib.metadata
from collections.abc import Iterable


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Name -> version of those that are installed under that name: tensorflow-cpu or a FAISS of conda serve as well."""
    found = {name: [*importlib.metadata.distributions(name=name)] for name in packages}
    return {name: each[0].version for name, each in found.items() if each}
