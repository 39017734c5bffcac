"""KerasHub, where it is installed: backbones from its presets and from folders of Hugging Face."""

import importlib
import pathlib
from collections.abc import Iterator
from typing import Any

import keras

from metric_learning.encoders.saved import one_line


def keras_hub() -> Any:
    """The package.

    Raises:
        ValueError: it is not installed; the message says how.
    """
    try:
        return importlib.import_module("keras_hub")
    except ImportError as error:
        raise ValueError(
            f'what is of KerasHub needs more packages ({error}): pip install -c constraints.txt -e ".[hub]"'
        ) from error


def load_backbone(argument: str, preset: str, **options: Any) -> keras.Model:
    """The backbone of a preset.

    Args:
        argument: what the preset is called in an error.
        preset: a folder, a name of KerasHub, or an address such as hf://USER/NAME; the last two are fetched.
        options: for its class, such as image_shape.

    Raises:
        ValueError: KerasHub is not installed; no such preset, or one that it cannot load.
    """
    hub = keras_hub()
    folder = pathlib.Path(preset).expanduser()
    if not folder.is_dir() and (folder.is_absolute() or preset.startswith((".", "~"))):
        raise ValueError(f"{argument} must be a folder or a name of KerasHub; there is no folder {folder}")
    try:
        return hub.models.Backbone.from_preset(where(preset), **options)
    except Exception as error:  # files of others, and the network
        raise ValueError(f"{argument}={preset} cannot be loaded by KerasHub: {one_line(error)}") from error


def where(preset: str) -> str:
    """A preset as KerasHub wants it: folders with the home directory in full."""
    folder = pathlib.Path(preset).expanduser()
    return str(folder) if folder.is_dir() else preset


def is_preset(name: str) -> bool:
    """Whether this is a folder, an address, or a name that KerasHub knows, if it is installed."""
    if pathlib.Path(name).expanduser().is_dir() or "://" in name:
        return True
    try:  # names such as resnet_50_imagenet; what is merely misspelled need not wait for KerasHub
        return "_" in name and name in keras_hub().models.Backbone.presets
    except ValueError:
        return False


def part_for(backbone: keras.Model, kind: Any) -> Any:
    """The subclass of `kind`, such as `keras_hub.layers.ImageConverter`, that goes with a backbone, or None."""
    return next((one for one in _subclasses(kind) if one.backbone_cls is type(backbone)), None)


def _subclasses(kind: Any) -> Iterator[Any]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)
