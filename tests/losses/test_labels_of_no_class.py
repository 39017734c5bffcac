"""A label outside the classes of a loss is an error, and NaN where XLA compiles, which drops errors."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from metric_learning import losses
from metric_learning.losses.class_loss import ClassLoss

pytestmark = pytest.mark.slow  # together they take a minute or so

CONF = pathlib.Path(__file__).parent.parent.parent / "conf"
LOSSES = sorted(file.stem for file in (CONF / "loss").glob("*.yaml"))
CASES = {name: (f"loss={name}",) for name in LOSSES} | {
    "margin per class": ("loss=margin", "loss.learned=per_class"),
    "margin per class, selected": ("loss=margin", "loss.learned=per_class", "loss.average=selected"),
    "adaptive_triplet, active": ("loss=adaptive_triplet", "loss.average=active"),
    "adaptive_triplet, semi-hard": ("loss=adaptive_triplet", "miner=semi_hard"),
    "hybrid of a class loss": (
        "loss=hybrid",
        "loss.parts=[{loss:{_target_:metric_learning.losses.ArcFace}},{loss:{_target_:metric_learning.losses.Triplet}}]",
    ),
}
for keras_loss in ("binary_crossentropy", "huber", "kl_divergence", "cosine_similarity", "f_beta"):
    CASES[f"{keras_loss} over classes"] = (f"loss={keras_loss}", "loss.over=classes", "loss.similarity=cosine")
# Six classes; 1 to 6, as many data sets number theirs, and -1 for "none".
WRONG = {"from 1": [1, 2, 3, 4, 5, 6, 1, 2], "minus one": [0, 1, 2, -1, 0, 1, 2, 3]}
ROWS = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)


@pytest.fixture
def loss(build, case):
    return build("loss", *CASES[case], *([] if "semi-hard" in case else ["miner=none"]))


def numbers_classes(loss):
    """Whether labels must be 0 to C - 1 for it: it has a vector, or a number, for each class."""
    if isinstance(loss, losses.Hybrid):
        return any(numbers_classes(part["loss"]) for part in loss.parts)
    if isinstance(loss, losses.Margin):
        return loss.learned == "per_class"
    return isinstance(loss, losses.AdaptiveTriplet | ClassLoss) and getattr(loss, "over", "classes") == "classes"


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("case", CASES)
def test_labels_outside_the_classes_are_errors_or_nan(loss, wrong):
    labels = tf.constant(WRONG[wrong], tf.int64)
    if not numbers_classes(loss):  # any integers will do
        assert np.isfinite(loss(labels, ROWS))
        return
    message = "labels must be (at least 0|below num_classes=6)"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        loss(labels, ROWS)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        tf.function(lambda labels: loss(labels, ROWS))(labels)
    compiled = tf.function(lambda labels: (loss(labels, ROWS), loss.call(labels, ROWS)), jit_compile=True)
    for found in compiled(labels):
        assert np.isnan(found).any()
    for found in compiled(tf.constant([0, 1, 2, 5, 0, 1, 2, 3], tf.int64)):
        assert np.isfinite(found).all()
