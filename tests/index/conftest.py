"""Small indexes, shared by the tests of what is done with them."""

import numpy as np
import pytest

from metric_learning.index import Index


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)


@pytest.fixture
def filled():
    """`filled(rows, distance, shards)`: an index of them, whose ids are their numbers."""

    def of(rows, distance="cosine", shards=1, **options):
        index = Index(rows.shape[1], distance, **options)
        for part in np.array_split(np.arange(len(rows)), shards):
            index.add(rows[part], part)
        return index

    return of
