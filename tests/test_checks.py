"""Hyperparameters that are no numbers to compute with are refused by name, whatever else is asked of them."""

import functools
import math

import pytest

from metric_learning import checks

KINDS = {
    "finite": checks.check_finite,
    "not_negative": checks.check_not_negative,
    "positive": checks.check_positive,
    "within": functools.partial(checks.check_within, 0.0, 1.0),
    "whole": functools.partial(checks.check_whole, 0),
}


@pytest.mark.parametrize("check", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_named(check, value):
    with pytest.raises(ValueError, match=f"margin must be .*; got {value}"):
        check(scale=1.0, margin=value)


@pytest.mark.parametrize(
    ("check", "fine", "wrong"),
    [
        (checks.check_not_negative, 0.0, -1e-9),
        (checks.check_positive, 1e-9, 0.0),
        (functools.partial(checks.check_within, 0.0, 1.0), 1.0, 1.0 + 1e-9),
        (functools.partial(checks.check_within, 0.0, 1.0), 0.0, -1e-9),
        (functools.partial(checks.check_whole, 2), 2, 1),
        (functools.partial(checks.check_whole, 2), 3.0, 2.5),
    ],
)
def test_bounds_are_where_they_are_said_to_be(check, fine, wrong):
    check(margin=fine)
    with pytest.raises(ValueError, match=f"margin must be .*; got {wrong}"):
        check(margin=wrong)
