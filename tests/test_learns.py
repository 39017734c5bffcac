"""Losses and miners whose shipped settings mean nothing for a distance say in one line what fits, and that learns.

Learning is sixty steps on 24 classes of the emoji at half their size, with a small encoder.
"""

import functools
import pathlib

import hydra
import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning import encoders
from metric_learning.data import emoji
from metric_learning.distances import DISTANCES, check_same_distance
from metric_learning.evaluation import embed, evaluate
from metric_learning.training import Learner

CONF = pathlib.Path(__file__).parent.parent / "conf"
NUM_CLASSES, PER_CLASS, STEPS, DIM = 24, 6, 60, 32
build = functools.partial(hydra.utils.instantiate, _convert_="all")

# What does not take all distances as shipped, and what it takes.
COSINE, FROM_ZERO = {"cosine"}, set(DISTANCES) - {"dot"}
TAKES = {
    "loss": {
        **dict.fromkeys(["angular", "circle", "cosine", "fast_ap", "histogram", "instance"], COSINE),
        **dict.fromkeys(["intra_pair_variance", "threshold_consistent_margin", "tuplet_margin"], COSINE),
        # Of pairs of rows, by loss.similarity.
        **dict.fromkeys(["binary_crossentropy", "binary_focal_crossentropy", "cosine_similarity", "f_beta"], COSINE),
        **dict.fromkeys(["hinge", "huber", "kl_divergence", "log_cosh", "mean_absolute_error"], COSINE),
        **dict.fromkeys(["mean_squared_error", "poisson", "squared_hinge"], COSINE),
        # A shipped threshold is a cosine, or a distance that begins at 0.
        **dict.fromkeys(["multi_similarity", "sigmoid"], {"cosine", "dot"}),
        **dict.fromkeys(["contrastive", "hybrid", "margin", "ranked_list"], FROM_ZERO),
        "snr_contrastive": {"snr"},
    },
    "miner": {
        **dict.fromkeys(["angular", "distance_weighted"], {"cosine", "euclidean", "squared_euclidean"}),
        "pair_margin": FROM_ZERO,
    },
}
# What the error says to write instead, where it is a number.
ADVICE = {
    "multi_similarity": {"base": -1.0},
    "sigmoid": {"bias": 20.0},
    "margin": {"boundary": -0.5},
}
# Times the untrained MAP@R that one which learns reaches: those that collapse come to 2.1.
LEAST = 2.5


def takes(group, name):
    return TAKES[group].get(name, set(DISTANCES))


@functools.cache
def composed(loss, miner):
    overrides = [f"loss={loss}", *([f"miner={miner}"] if miner else []), f"steps={STEPS}"]
    overrides += [f"encoder.embedding_dim={DIM}", "optimizer.learning_rate.warmup_steps=4"]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        # Smaller steps than for the larger encoder, which has eight times the channels.
        return hydra.compose("config", [*overrides, "optimizer.learning_rate.peak=0.003"])


def made(loss, miner, distance, **settings):
    """The loss as train.py makes it."""
    cfg = composed(loss, miner).copy()
    cfg.distance = distance
    for name, value in settings.items():
        cfg.loss[name] = value
    loss = build(cfg.loss)
    check_same_distance(distance, loss=loss.distance)
    return loss


@functools.cache
def items():
    """Images [n, 16, 16, 3] and labels [n] of the first classes that have enough of them."""
    train = emoji().train
    kept = np.flatnonzero(np.bincount(train.labels) >= PER_CLASS)[:NUM_CLASSES]
    places = np.concatenate([np.flatnonzero(train.labels == label)[:PER_CLASS] for label in kept])
    images = np.asarray(train.inputs[places], np.float32).reshape(-1, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    return images.round().astype(np.uint8), np.repeat(np.arange(NUM_CLASSES), PER_CLASS)


@functools.cache
def untrained():
    """An encoder and the weights that it begins with."""
    keras.utils.set_random_seed(0)
    encoder = encoders.cnn((16, 16, 3), widths=[8, 16], embedding_dim=DIM)
    return encoder, encoder.get_weights()


def batches():
    """Places of 64 rows, 4 each of 16 classes."""
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        classes = rng.permutation(NUM_CLASSES)[:16]
        yield np.concatenate([PER_CLASS * label + rng.permutation(PER_CLASS)[:4] for label in classes])


def learned(loss, optimizer):
    """The MAP@R of the items after learning them, in units of that before."""
    images, labels = items()
    encoder, start = untrained()

    def score():
        return evaluate(embed(encoder, images), labels, ks=(1,), distance=loss.distance).scores["map@r"]

    encoder.set_weights(start)
    before = score()
    keras.utils.set_random_seed(0)
    loss.build(NUM_CLASSES, DIM)
    learner = Learner(encoder, loss)
    learner.compile(optimizer)
    learner.optimizer.build(learner.trainable_variables)
    update = tf.function(lambda places: learner.update(tf.gather(images, places), tf.gather(labels, places)))
    for places in batches():
        update(tf.constant(places))
    return score() / before


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, names in TAKES.items() for name in names])
def test_what_does_not_fit_is_refused_in_one_line_that_says_what_does(group, name):
    fits = takes(group, name)
    for distance in set(DISTANCES) - fits:
        with pytest.raises((ValueError, hydra.errors.InstantiationException)) as caught:
            made(*((name, None) if group == "loss" else ("triplet", name)), distance)
        error = caught.value.__cause__ or caught.value
        assert isinstance(error, ValueError) and "\n" not in str(error)
        advice = [f"{setting}={value:g}" for setting, value in ADVICE.get(name, {}).items()]
        assert all(word in str(error) for word in advice or fits), error


@pytest.mark.slow
@pytest.mark.parametrize("name", ADVICE)
def test_what_the_error_advises_learns(name):
    optimizer = composed(name, None).optimizer
    ratios = {
        distance: learned(made(name, None, distance, **ADVICE[name]), build(optimizer))
        for distance in sorted(set(DISTANCES) - takes("loss", name))
    }
    assert min(ratios.values()) > LEAST, ratios
