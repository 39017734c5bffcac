"""Proxy-NCA against a loop over rows and proxies, in float64."""

import math

import numpy as np
import pytest

from metric_learning.losses import ProxyNCA


def unit(x):
    return [a / math.sqrt(sum(b * b for b in x)) for a in x]


def oracle(classes_of_rows, scale=1.0, include_own=False):
    def expected(rows, proxies):
        values = []
        for own, row in zip(classes_of_rows, rows, strict=True):
            scaled = [
                scale * sum((a - b) ** 2 for a, b in zip(unit(row), unit(proxy), strict=True)) for proxy in proxies
            ]
            others = [d for c, d in enumerate(scaled) if include_own or c not in own]
            if not own or not others:
                values.append(0.0)
                continue
            total = sum(math.exp(-d) for d in others)
            values.append(sum(-math.log(math.exp(-scaled[c]) / total) for c in own) / len(own))
        return np.array(values)

    return expected


ARGUMENTS = [{}, {"include_own": True}, {"scale": 9.0}, {"scale": 9.0, "include_own": True}]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_equals_loops_with_its_gradients(classes, learned, agrees, arguments):
    labels, rows = classes
    agrees(learned(ProxyNCA, **arguments), oracle([[label] for label in labels], **arguments), labels, rows)


@pytest.mark.parametrize("arguments", ARGUMENTS[:2], ids=str)
def test_several_classes_share_a_row_and_none_or_all_cost_nothing(classes, learned, agrees, arguments):
    labels, rows = classes
    several = [[label, 3] if index % 3 else [] for index, label in enumerate(labels)]
    several[4] = list(range(6))
    multi_hot = np.array([[c in own for c in range(6)] for own in several], np.float32)
    agrees(learned(ProxyNCA, **arguments), oracle(several, **arguments), multi_hot, rows)


def test_every_hyperparameter_changes_the_value(classes, learned):
    values = [float(learned(ProxyNCA, **arguments)(*classes)) for arguments in ARGUMENTS]
    assert len(np.unique(np.round(values, 3))) == len(ARGUMENTS)


def test_by_hand(learned):
    loss = learned(ProxyNCA)
    # Cosines .6, .8, 0, 0, -1, 0 with the row (6, 8, 0): squared distances .8, .4, 2, 2, 4, 2.
    loss.layers[0].vectors.assign([[1, 0, 0], [0, 3, 0], [0, 0, 1], [0, 0, -1], [-0.3, -0.4, 0], [0, 0, 2]])
    expected = 0.8 + math.log(math.exp(-0.4) + 3 * math.exp(-2) + math.exp(-4))
    np.testing.assert_allclose(loss([0], [[6.0, 8.0, 0.0]]), expected, rtol=1e-6)


def test_a_scale_of_zero_is_refused():
    with pytest.raises(ValueError, match="scale must be above 0; got 0"):
        ProxyNCA(scale=0)
