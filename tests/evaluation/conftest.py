"""Rows in classes of unequal size, shared by the tests of thresholds and of what they promise."""

import numpy as np
import pytest


@pytest.fixture
def clusters():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 2])
    rows = (rng.normal(size=(12, 3))[labels] + 0.4 * rng.normal(size=(len(labels), 3))).astype(np.float32)
    return rows, labels
