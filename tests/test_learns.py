"""Losses and miners whose shipped settings mean nothing for a distance say in one line what fits."""

import functools
import pathlib

import hydra
import pytest

from metric_learning.distances import DISTANCES, check_same_distance

CONF = pathlib.Path(__file__).parent.parent / "conf"
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


def takes(group, name):
    return TAKES[group].get(name, set(DISTANCES))


@functools.cache
def composed(loss, miner):
    overrides = [f"loss={loss}", *([f"miner={miner}"] if miner else [])]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return hydra.compose("config", overrides)


def made(loss, miner, distance, **settings):
    """The loss as train.py makes it."""
    cfg = composed(loss, miner).copy()
    cfg.distance = distance
    for name, value in settings.items():
        cfg.loss[name] = value
    loss = build(cfg.loss)
    check_same_distance(distance, loss=loss.distance)
    return loss


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
