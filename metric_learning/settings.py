"""Checks of a whole configuration, before anything is built from it: are settings what they must be, is code trusted.

A setting must be of the kind that the shipped one is: text, true or false, whole, or any finite number. What the
shipped value leaves open stands in `KINDS`, by the setting's name.
"""

import math
import re
from collections.abc import Iterable
from typing import Any


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# What each kind is called, and whether a value is of it.
NAMES = {
    "true or false": lambda value: isinstance(value, bool),
    "a whole number": is_whole,
    "a number": is_number,
    "a number above 0": lambda value: is_number(value) and value > 0,
    "text, in quotes if it looks like something else": lambda value: isinstance(value, str),
}
TRUTH, WHOLE, NUMBER, ABOVE_0, TEXT = NAMES
OF_TYPE = {bool: TRUTH, int: WHOLE, float: NUMBER, str: TEXT}
# Settings that are null as shipped, or an empty list; these may always be null.
KINDS = {
    **dict.fromkeys(("clipnorm", "clipvalue", "ema", "global_clipnorm"), ABOVE_0),
    **dict.fromkeys(("alpha", "bias", "normalizer", "sigma", "softening_start"), NUMBER),
    **dict.fromkeys(
        (
            "crop",
            "embedding_dim",
            "hidden",
            "logical_cpus",
            "num_proxies",
            "patience",
            "thaw_at",
            "token_dim",
        ),
        WHOLE,
    ),
    **dict.fromkeys(("data_dir", "entity", "group", "image", "manual_dir", "path", "resume", "root", "split"), TEXT),
    **dict.fromkeys(("table", "tags", "text", "trusted", "words_from"), TEXT),
    **dict.fromkeys(("categorical", "hierarchy", "label_separator", "numeric", "weight"), TEXT),  # of tables
}
# One may stand for the list of it, or for what makes it.
ONE_FOR_ALL = {"image_size": WHOLE, "k": WHOLE, "learning_rate": ABOVE_0, "categorical": TEXT, "numeric": TEXT}
MAY_BE_NULL = {*KINDS, "augmentation", "class_penalty", "miner", "penalty", "weights"}

# Code that a configuration may name: what this project exports to be configured, and Keras' and TensorFlow's parts that
# neither load files nor reach out.
OWN = re.compile(
    r"miners\.\w+|metric_learning\.(data|encoders|evaluation|losses|optimizers|penalties|tracking|training|tuples)\.\w+"
)
OTHERS = re.compile(
    r"keras\.(optimizers(\.schedules)?|losses|regularizers|initializers|constraints)\.[A-Z]\w+|tensorflow\.distribute\.\w+"
    r"|keras\.layers\.(Random[A-Z]\w+|AugMix|AutoContrast|CenterCrop|Equalization|Resizing|Solarization)"  # of images
)


def check_settings(given: Any, shipped: Any, path: str = "") -> None:
    """Compares settings with those that they replace.

    Args:
        given: plain nested dicts and lists, interpolations resolved.
        shipped: the same with the same choices of options, as they are before anything is overridden.
        path: of both in the whole, such as "loss".

    Raises:
        ValueError: naming the first setting that is of another kind, null where it must not, or not finite.
    """
    if isinstance(given, dict):
        if shipped is not None and not isinstance(shipped, dict) and "_target_" not in given:
            raise ValueError(f"{path} must be {_expected(shipped, path)}; got {given}")
        for key, value in given.items():
            known = shipped.get(key) if isinstance(shipped, dict) else None
            check_settings(value, known, f"{path}.{key}" if path else str(key))
    elif isinstance(given, list):
        _check_list(given, shipped, path)
    elif given is None:
        if shipped is not None and path.rpartition(".")[2] not in MAY_BE_NULL:
            raise ValueError(f"{path} must be {_expected(shipped, path)}; got null")
    else:
        _check_leaf(given, shipped, path)


def _check_list(given, shipped, path):
    opaque = shipped is None and path.rpartition(".")[2] not in KINDS
    if not opaque and not isinstance(shipped, list):
        raise ValueError(f"{path} must be {_expected(shipped, path)}; got {given}")
    kinds = {type(part) for part in shipped or ()}
    for i, part in enumerate(given):
        like = shipped[i] if shipped and i < len(shipped) else None
        if isinstance(part, dict) and isinstance(like, dict) and part.get("_target_") != like.get("_target_"):
            like = None  # another thing, with settings of its own
        if like is None and len(kinds) == 1 and dict not in kinds:
            like = shipped[0]
        check_settings(part, like, path if not isinstance(part, dict) else f"{path}.{i}")


def _check_leaf(given, shipped, path):
    if isinstance(given, float) and not math.isfinite(given):
        raise ValueError(f"{path} must be finite; got {given}")
    expected = _expected(shipped, path)
    if expected in NAMES and not NAMES[expected](given) or expected not in (None, *NAMES):
        raise ValueError(f"{path} must be {expected}; got {given!r}")


def _expected(shipped, path):
    """What a setting must be, in words; None for anything."""
    key = path.rpartition(".")[2]
    if shipped == "???":  # to be given
        return KINDS.get(key)
    if isinstance(shipped, list | dict):
        return ONE_FOR_ALL.get(key, "settings of its own" if isinstance(shipped, dict) else "a list, as [a,b]")
    return OF_TYPE.get(type(shipped)) or KINDS.get(key)


def check_targets(settings: Any, trusted: Iterable[str] = (), path: str = "") -> None:
    """Raises ValueError naming the first code in a configuration that is not to be run.

    Args:
        settings: plain nested dicts and lists.
        trusted: dotted prefixes whose code may run too.
        path: of the settings in the whole.
    """
    parts = settings.items() if isinstance(settings, dict) else enumerate(settings)
    for key, value in parts:
        where = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict | list):
            check_targets(value, trusted, where)
        elif key in ("_target_", "target") and not _is_trusted(str(value), trusted):
            raise ValueError(
                f"{where} is {value}, which is not code of this project, of Keras or of TensorFlow that a "
                f'configuration may run; if you trust whoever wrote both, say "trusted=[{str(value).split(".")[0]}]"'
            )


def _is_trusted(target, trusted):
    named = any(target == prefix or target.startswith(f"{prefix}.") for prefix in trusted)
    return named or target == "???" or bool(OWN.fullmatch(target) or OTHERS.fullmatch(target))
