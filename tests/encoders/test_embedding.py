"""An id outside the vocabulary raises, or is NaN where another would be taken for it: under XLA, and below 0."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning import encoders, losses
from metric_learning.data import BatchPlan
from metric_learning.training import Learner
from metric_learning.training.loop import compile_block

SEQUENCES = np.array([[1, 4, 2, 0], [3, 0, 0, 0], [0, 0, 0, 0], [2, 5, 1, 1]], np.int32)
CASES = {
    "above": (SEQUENCES, (3, 1), 6),
    "far above": (SEQUENCES, (3, 1), 2**30),
    "below": (SEQUENCES, (3, 1), -1),
    "one id an item": (SEQUENCES[:, 0], 3, 6),
    "one id an item, below": (SEQUENCES[:, 0], 3, -1),
}


@pytest.fixture
def encoder(case):
    keras.utils.set_random_seed(0)
    return encoders.embedding(CASES[case][0].shape[1:], vocabulary_size=6, embedding_dim=5)


@pytest.mark.parametrize("case", CASES)
def test_unknown_ids_raise_or_are_nan_under_xla(encoder, case):
    known, place, unknown = CASES[case]
    ids = known.copy()
    ids[place] = unknown
    for run, raises in ((encoder, True), (tf.function(encoder), True), (tf.function(encoder, jit_compile=True), False)):
        np.testing.assert_allclose(run(known), encoder(known), atol=1e-6)
        if raises and unknown > 0:
            with pytest.raises(tf.errors.InvalidArgumentError, match="not in"):
                run(ids)
            continue
        found = run(ids).numpy()
        assert np.isnan(found[3]).all()
        np.testing.assert_allclose(found[:3], encoder(known[:3]), atol=1e-6)  # of which the other rows know nothing


@pytest.mark.slow
@pytest.mark.parametrize("case", ["above", "one id an item, below"])
def test_a_compiled_step_says_nan(encoder, case):
    ids = CASES[case][0].copy()
    labels = np.array([0, 0, 1, 1])
    learner = Learner(encoder, losses.Contrastive(average="selected"))
    learner.compile(keras.optimizers.SGD(0.0))
    plan = BatchPlan(labels, classes=2, samples=2)
    for place, is_nan in ((None, False), (CASES[case][1], True)):
        if place is not None:
            ids[place] = CASES[case][2]
        block = compile_block(learner, Items(ids, labels), plan, jit_compile=True)
        assert np.isnan(block(plan.block(0, 1), 0)[0]).all() == is_nan


class Items:
    """A split of single ids."""

    def __init__(self, ids, labels):
        self.inputs, self.labels = ids, labels
