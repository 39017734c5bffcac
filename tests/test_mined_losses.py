"""Every loss of conf/loss that a miner may choose for, with every miner of conf/miner: the choice is what it costs."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from metric_learning import losses
from metric_learning.losses.distance_loss import TupleLoss
from metric_learning.tuples import Pairs, Triplets

ROOT = pathlib.Path(__file__).parent.parent
MINED = sorted(file.stem for file in (ROOT / "conf/loss").glob("*.yaml") if "\nminer:" in file.read_text())
MINERS = sorted(file.stem for file in (ROOT / "conf/miner").glob("*.yaml") if file.stem != "none")
# Miners that know how the distances of unit vectors spread, and so refuse that of this loss.
KNOW_THE_SPHERE = {"angular", "distance_weighted"}
# Settings by which more than the hardest pair of an anchor counts, and the last batch only.
OF_LOSS = {
    "circle": ("loss.scale=2.0",),
    "dynamic_soft_margin": ("loss.momentum=1.0",),
    "generalized_lifted_structure": ("loss.scale=1.0",),
    "multi_similarity": ("loss.negative_scale=2.0",),
    "sigmoid": ("loss.bias=0.0",),
}
# Settings by which a miner leaves out much of a small batch.
OF_MINER = {
    "hard_pairs": ("miner.fraction=0.2",),
    "multi_similarity": ("miner.epsilon=0.0",),
    "pair_margin": ("miner.positive_margin=0.6", "miner.negative_margin=0.4"),
    "uniform_histogram": ("miner.num_bins=5", "miner.positives_per_bin=2", "miner.negatives_per_bin=2"),
}
# Of pairs the loss takes each anchor's nearest negative, which is what the miner picks.
NO_CHANGE = {("dynamic_soft_margin", "hard_negatives")}
every_loss = pytest.mark.parametrize("name", MINED)


@pytest.fixture(scope="module")
def mixed():
    """Five classes of six rows, some of them among each other, and most rows of a class side by side.

    So every miner leaves out some pairs: there are positives nearer than all negatives and farther than some, and of
    the packed tuples of three rows some are tuples and some are not.
    """
    labels = np.array([0, 0, 1, 1, 1, 0, 2, 2, 3, 4, 3, 4, 3, 3, 2] * 2)
    random = np.random.default_rng(11)
    return labels, (random.normal(size=(5, 3))[labels] + 0.7 * random.normal(size=(30, 3))).astype(np.float32)


@pytest.fixture
def loss_with(build):
    """`loss_with(name, miner)`: the loss of conf/loss, with a miner of conf/miner, any function, or None."""

    def made(name, miner):
        loss = build("loss", f"loss={name}", "miner=none", *OF_LOSS.get(name, ()))
        if isinstance(miner, str):
            miner = build("miner", f"miner={miner}", f"distance={loss.distance}", *OF_MINER.get(miner, ()))
        return type(loss).from_config(loss.get_config() | {"miner": miner})

    return made


@every_loss
def test_every_miner_changes_what_the_loss_costs(mixed, loss_with, name):
    everything = loss_with(name, None).call(*mixed)
    assert np.ptp(everything) > 1e-3
    same = []
    for miner in MINERS:
        if name == "snr_contrastive" and miner in KNOW_THE_SPHERE:
            continue
        values = loss_with(name, miner).call(*mixed)
        if np.allclose(values, everything, rtol=1e-3, atol=1e-5):
            same.append(miner)
    assert {(name, miner) for miner in same} == {case for case in NO_CHANGE if case[0] == name}


def one_triplet_only(distances, positive_mask, negative_mask):
    """Of the first anchor that has one, its last positive and negative; as triplets of one slot."""
    columns = [tf.argmax(tf.cast(mask, tf.int32)[:, ::-1], axis=1) for mask in (positive_mask, negative_mask)]
    columns = [tf.shape(distances)[1] - 1 - tf.cast(column[:, None], tf.int32) for column in columns]
    return Triplets(*columns, tf.cast(tf.range(tf.shape(distances)[0])[:, None] == 4, tf.float32))


@every_loss
@pytest.mark.parametrize("graded", [False, True], ids=["classes", "grades"])
def test_a_miner_that_picks_nothing_leaves_nothing_to_pay(mixed, loss_with, name, graded):
    labels, rows = mixed
    labels = np.eye(6, dtype=np.float32)[labels] * np.float32(0.5) if graded else labels
    asked = []

    def nothing(distances, positive_mask, negative_mask):
        asked.append(distances)
        return Pairs(tf.zeros_like(distances), tf.zeros_like(distances))

    with tf.GradientTape() as tape:
        watched = tf.Variable(rows)
        values = loss_with(name, nothing).call(labels, watched)
    assert not np.any(values) and not np.any(tf.convert_to_tensor(tape.gradient(values, watched)))
    assert len(asked) == 1, "the miner is asked once"


@every_loss
@pytest.mark.parametrize("graded", [False, True], ids=["classes", "grades"])
def test_only_an_anchor_whose_tuples_are_picked_costs_something(mixed, loss_with, name, graded):
    labels, rows = mixed
    labels = np.eye(6, dtype=np.float32)[labels] if graded else labels
    values = loss_with(name, one_triplet_only).call(labels, rows)
    assert np.flatnonzero(values).tolist() in ([4], []) and np.any(loss_with(name, None).call(labels, rows)[:4])


def test_no_loss_of_tuples_goes_by_the_masks_itself():
    """So none can forget its miner: the masks reach nobody but `TupleLoss.per_anchor`."""
    kinds = [kind for kind in vars(losses).values() if isinstance(kind, type) and issubclass(kind, TupleLoss)]
    assert len(kinds) >= len(MINED)
    assert all(kind.per_anchor is TupleLoss.per_anchor for kind in kinds)
