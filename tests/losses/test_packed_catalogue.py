"""Which losses take tuples that are given, and that they cost what they do on the tuple alone."""

import numpy as np
import pytest

from metric_learning import losses
from metric_learning.losses import Packed
from metric_learning.losses.distance_loss import DistanceLoss

D = 3
OF_ROWS = sorted(
    name
    for name in losses.__all__
    if isinstance(kind := getattr(losses, name), type) and issubclass(kind, DistanceLoss)
)


def pack(name, parts):
    """None where the loss does not take so many parts; its name must then be in the error."""
    try:
        return Packed(getattr(losses, name)(), parts=parts, reduction=None)
    except ValueError as error:
        assert name in str(error)


@pytest.mark.parametrize("name", [name for name in OF_ROWS if name != "Quadruplet"])
@pytest.mark.parametrize("parts", [2, 3, 4])
def test_a_tuple_costs_what_it_does_as_an_anchor_with_references(name, parts):
    if pack(name, parts) is None:
        return
    # Short fractions, so that distances from products and from differences agree.
    rows = np.round(64 * np.random.default_rng(parts).normal(scale=0.6, size=(7, parts * D))) / 64
    same = np.array([1, 0, 0, 1, 0, 0, 1])
    for index, row in enumerate(rows):
        anchor, *others = np.split(row, parts)
        classes = [1 - same[index]] if parts == 2 else [0, 1, 2][: parts - 1]
        # Made anew, as some remember what they have seen.
        expected = getattr(losses, name)().call([0], anchor[None], ref_labels=classes, ref_embeddings=np.stack(others))
        found = pack(name, parts)(same[index : index + 1], row[None])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.max(np.abs(pack(name, parts)(same, rows))) > 0.0


def test_most_losses_take_tuples_and_those_that_weigh_each_pair_alone_take_pairs():
    left = {name for name in OF_ROWS if pack(name, 4) is None}
    assert left == {"AdaptiveTriplet", "Angular", "LiftedStructure", "NPairs"}
    assert {name for name in OF_ROWS if pack(name, 2)} == {
        *("Contrastive", "Cosine", "Histogram", "IntraPairVariance", "MultiSimilarity", "RankedList", "Sigmoid"),
        *("SNRContrastive", "ThresholdConsistentMargin"),
    }
