"""Distance matrices and masks on which every miner is held against loops."""

import numpy as np
import pytest


def squared_distances(rows, refs):
    return np.square(rows[:, None, :] - refs[None, :, :]).sum(-1).astype(np.float32)


@pytest.fixture
def problems(batch, batch_with_duplicates, bank, masks):
    """Name -> (distances [B, M], positive mask, negative mask), NumPy."""

    def of_rows(labels, rows):
        return squared_distances(rows, rows), *masks(labels)

    rng = np.random.default_rng(11)
    rows = rng.normal(size=(5, 3))
    kinds = rng.integers(0, 3, size=(12, 7))  # 0 positive, 1 negative, 2 neither
    kinds[0], kinds[1], kinds[2] = 0, 1, 2
    return {
        "batch": of_rows(*batch),
        "duplicates": of_rows(*batch_with_duplicates),
        "bank": (
            squared_distances(batch.embeddings, bank.embeddings),
            *masks(batch.labels, bank.labels),
        ),
        # Many ties, negative distances as those of `dot`, and masks that no labels would give.
        "ties": (rng.integers(-2, 3, size=(12, 7)).astype(np.float32), kinds == 0, kinds == 1),
        "one class": of_rows(np.zeros(5), rows),
        "all different": of_rows(np.arange(5), rows),
        "one row": of_rows(np.zeros(1), rows[:1]),
        "all equal": of_rows(np.array([0, 0, 1, 1]), np.ones((4, 3))),
    }
