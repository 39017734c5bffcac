"""Every loss and miner with every distance, as shipped: it learns, or says in one line what fits, and that learns.

Learning is sixty steps on twelve classes of the emoji at half their size, with a small encoder, whose rows are nearly
equal at first: there, what cannot learn pulls them together for good.
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
from metric_learning.distances import DISTANCES, check_same_distance, pairwise
from metric_learning.evaluation import embed, evaluate
from metric_learning.training import Learner

CONF = pathlib.Path(__file__).parent.parent / "conf"
NAMES = {group: sorted(file.stem for file in (CONF / group).glob("*.yaml")) for group in ("loss", "miner")}
NUM_CLASSES, PER_CLASS, STEPS, DIM = 12, 6, 60, 32
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
# A companion of other losses, alone least where all rows are equal, as docs/losses.md says.
DO_NOT_LEARN = {"intra_pair_variance"}
# Miners of the hardest tuples, which pull nearly equal rows together but by the Euclidean distance, whose gradient does
# not fade there: docs/losses.md has them come second, after semi-hard triplets.
COME_SECOND = {
    **dict.fromkeys(["angular", "batch_hard", "hard_negatives"], set(DISTANCES) - {"euclidean"}),
    "hard_pairs": {"snr"},
}
# Times the untrained MAP@R that one which learns reaches at least; most come to more than ten.
LEAST = 4.0
# Share of the untrained distance between classes that one which learns keeps at least: most multiply it by ten, and
# those that collapse divide it by as much, though they may still rank what rounding leaves.
LEAST_APART = 0.5


def takes(group, name):
    return TAKES[group].get(name, set(DISTANCES))


@functools.cache
def composed(loss, miner, comes_second=False):
    overrides = [f"loss={loss}", f"steps={STEPS}"]
    if comes_second:
        overrides += ["miner=schedule", f"miner@miner.then={miner}", "miner.begin=20", "miner.end=40"]
    elif miner:
        overrides += [f"miner={miner}"]
    overrides += [f"encoder.embedding_dim={DIM}", "optimizer.learning_rate.warmup_steps=4"]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return hydra.compose("config", overrides)


def made(loss, miner, distance, **settings):
    """The loss as train.py makes it."""
    cfg = composed(loss, miner, distance in COME_SECOND.get(miner, ())).copy()
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
    encoder = encoders.cnn((16, 16, 3), widths=[16, 32], embedding_dim=DIM)
    return encoder, encoder.get_weights()


def batches(packed):
    """Places of 32 rows, 4 each of 8 classes; or of 16 triplets, one after another."""
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        classes = rng.permutation(NUM_CLASSES)[:8]
        places = np.array([PER_CLASS * label + rng.permutation(PER_CLASS)[:4] for label in classes])
        # Two anchors of each class, each with a positive of it and a negative of the next.
        others = np.roll(places, 1, axis=0)
        triplets = [
            (row[2 * n], row[2 * n + 1], other[n]) for row, other in zip(places, others, strict=True) for n in (0, 1)
        ]
        yield np.ravel(triplets if packed else places)


def judged(embeddings, distance):
    """MAP@R by the distance, and the mean cosine distance between rows of different classes."""
    labels = items()[1]
    score = evaluate(embeddings, labels, ks=(1,), distance=distance).scores["map@r"]
    return np.array([score, pairwise(embeddings).numpy()[labels[:, None] != labels].mean()])


@functools.cache
def embeddings_before():
    encoder, start = untrained()
    encoder.set_weights(start)
    return embed(encoder, items()[0])


@functools.cache
def embeddings_after(loss, miner, distance, settings=()):
    """The embeddings of the items after learning from them."""
    images, labels = items()
    encoder, start = untrained()
    encoder.set_weights(start)
    keras.utils.set_random_seed(0)
    made_loss = made(loss, miner, distance, **dict(settings))
    made_loss.build(NUM_CLASSES, DIM, [f"class {label}" for label in range(NUM_CLASSES)])
    learner = Learner(encoder, made_loss)
    learner.compile(build(composed(loss, miner).optimizer))
    learner.optimizer.build(learner.trainable_variables)

    @tf.function(autograph=False)  # as the loop of a run has it, and sooner traced
    def update(places):
        learner.update(tf.gather(images, places), tf.gather(labels, places))

    for places in batches(packed=miner == "packed"):
        update(tf.constant(places))
    return embed(encoder, images)


def learned(loss, miner, distance, **settings):
    """MAP@R and the distance between classes after learning, in units of those before."""
    # What compares rows with class vectors or views, and not with each other, learns the same for every distance.
    learns_by = made(loss, miner, distance, **settings).distance or "cosine"
    after = embeddings_after(loss, miner, learns_by, tuple(settings.items()))
    return judged(after, distance) / judged(embeddings_before(), distance)


def test_all_that_is_named_here_exists():
    assert all(set(names) <= set(NAMES[group]) for group, names in TAKES.items())
    assert set(ADVICE) | DO_NOT_LEARN <= set(NAMES["loss"]) and set(COME_SECOND) <= set(NAMES["miner"])


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
@pytest.mark.parametrize(
    ("group", "name", "distance"),
    [
        (group, name, by)
        for group, names in NAMES.items()
        for name in names
        for by in DISTANCES
        if by in takes(group, name) and name not in DO_NOT_LEARN
    ],
)
def test_what_is_not_refused_learns(group, name, distance):
    loss, miner = (name, None) if group == "loss" else ("triplet", name)
    score, apart = learned(loss, miner, distance)
    assert score > LEAST and apart > LEAST_APART, (score, apart)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "distance"), [(name, by) for name in ADVICE for by in DISTANCES if by not in takes("loss", name)]
)
def test_what_the_error_advises_learns(name, distance):
    score, apart = learned(name, None, distance, **ADVICE[name])
    assert score > LEAST and apart > LEAST_APART, (score, apart)
