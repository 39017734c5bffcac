"""Checks of hyperparameters: each error names the argument, what was expected and what came."""

import math
from collections.abc import Collection
from typing import Any

AVERAGES = ("selected", "active")


def check_average(average: str) -> None:
    """Raises ValueError unless `average` is one of AVERAGES."""
    check_choice(AVERAGES, average=average)


def check_choice(choices: Collection[Any], **arguments: Any) -> None:
    """Raises ValueError naming the first argument that is none of the choices."""
    for name, value in arguments.items():
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}; got {value!r}")


def check_finite(**arguments: float) -> None:
    """Raises ValueError naming the first of the numbers that is infinite or NaN."""
    for name, value in arguments.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite; got {value}")


def check_not_negative(**arguments: float) -> None:
    """Raises ValueError naming the first of the numbers that is below 0."""
    for name, value in arguments.items():
        check_finite(**{name: value})
        if value < 0:
            raise ValueError(f"{name} must be at least 0; got {value}")


def check_positive(**arguments: float) -> None:
    """Raises ValueError naming the first of the numbers that is not above 0."""
    for name, value in arguments.items():
        check_finite(**{name: value})
        if value <= 0:
            raise ValueError(f"{name} must be above 0; got {value}")


def check_within(low: float, high: float, **arguments: float) -> None:
    """Raises ValueError naming the first of the numbers outside [low, high]."""
    for name, value in arguments.items():
        if not low <= value <= high:
            raise ValueError(f"{name} must be in [{low}, {high}]; got {value}")


def check_whole(least: int, **arguments: float) -> None:
    """Raises ValueError naming the first of the numbers that is no whole one of at least `least`."""
    for name, value in arguments.items():
        check_finite(**{name: value})
        if value < least or value != int(value):
            raise ValueError(f"{name} must be a whole number of at least {least}; got {value}")
