"""Models from files of others: data, not programs."""

import pathlib
from collections.abc import Sequence

import keras

from metric_learning.encoders.backbone import backbone_of, set_trained_part
from metric_learning.penalties import Penalty


def saved(
    input_shape: Sequence[int],
    *,
    vocabulary_size: int | None = None,
    column_sizes: Sequence[int] | None = None,
    path: str | pathlib.Path,
    train: str = "all",
    train_norms: bool = False,
) -> keras.Model:
    """The encoder that a run has left, to go on training with: on other data, or by another loss.

    Args:
        input_shape: (height, width, channels) of the images, or (F,) of the features.
        vocabulary_size: None. Each run makes the vocabulary of its own texts, in which the ids of a saved encoder would
            stand for other words.
        column_sizes: None. Likewise, each run numbers the cells of its own columns of categories.
        path: of an `encoder.keras`, or of the folder of the run.
        train: "all"; or "head" or "top:N", if it has a backbone, see `set_trained_part`.
        train_norms: of a backbone, likewise.

    Returns:
        keras.Model from inputs to float32 [B, D]. A penalty on its embeddings stays with the run that had it.

    Raises:
        ValueError: texts or categories; no such file, or one that cannot be loaded safely; inputs of another shape than
            the encoder takes; a part to train that it does not have.
    """
    if vocabulary_size is not None:
        raise ValueError("encoder=saved takes images and features; texts have another vocabulary in each run")
    if column_sizes is not None:
        raise ValueError("encoder=saved takes images and features; the cells of columns have other ids in each run")
    path = pathlib.Path(path).expanduser()
    encoder = load_safely("encoder.path", path / "encoder.keras" if path.is_dir() else path)
    taken, given = encoder.input_shape, encoder.output_shape
    if not isinstance(taken, tuple) or not isinstance(given, tuple) or len(given) != 2:
        raise ValueError(f"{path} is no encoder, from inputs to embeddings [B, D]; it maps {taken} to {given}")
    if len(taken) != 1 + len(input_shape) or any(
        size not in (None, of_data) for size, of_data in zip(taken[1:], input_shape, strict=True)
    ):
        raise ValueError(f"{path} takes inputs of shape {taken[1:]}; the data has {tuple(input_shape)}")
    last = encoder.layers[-1]
    if isinstance(last, Penalty):
        encoder = keras.Model(encoder.input, last.input, name=encoder.name)
    encoder.trainable = True
    backbone = backbone_of(encoder)
    if backbone is not None:
        set_trained_part(backbone, train, input_shape, train_norms=train_norms)
    elif train != "all":
        raise ValueError(f"train must be all, as {path} has no backbone; got {train!r}")
    return encoder


def load_safely(argument: str, path: pathlib.Path) -> keras.Model:
    """A model from a `.keras` file, in Keras' safe mode, which runs no code of the file.

    Args:
        argument: what the path is called in an error.
        path: pathlib.Path.

    Raises:
        ValueError: no such file; one that is damaged, or no model, or would need to run code of its own.
    """
    if not path.is_file():
        raise ValueError(f"{argument} must be a .keras file; there is none at {path}")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a damaged file raises what the unpacking happens to meet
        raise ValueError(f"{path} cannot be loaded as a Keras model, safely: {one_line(error)}") from error


def one_line(error: BaseException, most: int = 300) -> str:
    """What an error of a library says, without its line breaks and its lists of arguments."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else text[:most] + " ..."
