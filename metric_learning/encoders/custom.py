"""An encoder of the user's own: any function that builds a `keras.Model`."""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras


def custom(
    input_shape: Sequence[int],
    *,
    target: str,
    vocabulary_size: int | None = None,
    word_ids: Mapping[str, int] | None = None,
    column_sizes: Sequence[int] | None = None,
    **settings: Any,
) -> keras.Model:
    """Calls a function with what it asks for by name.

    Args:
        input_shape: of one item, see `DataSource`.
        target: dotted name of the function, such as "mynet.build"; its module must be importable.
        vocabulary_size: number of token ids; None for images.
        word_ids, column_sizes: see `embedding`.
        settings: more to offer, such as embedding_dim; None stands for what is left to the function.

    Returns:
        keras.Model from inputs [B, *input_shape] to embeddings [B, D].

    Raises:
        ValueError: no such function, a setting that it does not take, an argument that nobody gives it, or a result
            that is no model of one output [B, D].
    """
    build = find(target)
    asked = inspect.signature(build).parameters.values()
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in asked)
    names = {parameter.name for parameter in asked if parameter.kind is not parameter.VAR_KEYWORD}
    settings = {name: value for name, value in settings.items() if value is not None}
    unknown = {} if takes_all else settings.keys() - names
    if unknown:
        raise ValueError(f"{target} takes {', '.join(sorted(names))}; got {', '.join(sorted(unknown))}")
    ids = {"word_ids": word_ids, "column_sizes": column_sizes}
    ids = {name: value for name, value in ids.items() if value is not None}
    offered = {"input_shape": tuple(input_shape), "vocabulary_size": vocabulary_size, **ids, **settings}
    given = _accepted(build, offered)
    missing = [p.name for p in asked if p.default is p.empty and p.name in names - given.keys()]
    if missing:
        raise ValueError(f"{target} asks for {', '.join(missing)}; give it as encoder.{missing[0]}=VALUE")
    encoder = build(**given)
    if not isinstance(encoder, keras.Model) or len(getattr(encoder, "output_shape", None) or ()) != 2:
        raise ValueError(
            f"{target} must return a keras.Model with one output, embeddings [batch, dim]; got "
            f"{type(encoder).__name__} {getattr(encoder, 'output_shape', '')}".rstrip()
        )
    return encoder


def asked_for(target: str, offered: Mapping[str, Any]) -> dict[str, Any]:
    """What a function has arguments for, of what it may be given.

    Args:
        target: dotted name of the function.
        offered: name -> value.

    Raises:
        ValueError: no such function.
    """
    return _accepted(find(target), offered)


def _accepted(function, offered):
    parameters = inspect.signature(function).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return {name: value for name, value in offered.items() if takes_all or name in parameters}


def find(target: str) -> Callable[..., keras.Model]:
    """The function of a dotted name.

    Raises:
        ValueError: there is none.
    """
    module, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (AttributeError, ImportError, ValueError) as error:
        raise ValueError(
            f"encoder.target must be a function that Python finds, as mynet.build in mynet.py; got {target}: {error}"
        ) from None
