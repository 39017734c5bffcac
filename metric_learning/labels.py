"""Labels and ids as people have them, in the one form in which losses, batches and judges compare them."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from metric_learning.types import TensorLike


def as_labels(labels: TensorLike, name: str = "labels") -> tf.Tensor:
    """A label tensor of rank 1, or 2 for multi-hot; a column [B, 1] counts as [B].

    Args:
        labels: [B] or [B, 1] integers, booleans or strings, in lists, arrays or tensors; or [B, C] numbers or booleans.
        name: of the argument, for errors.

    Returns:
        [B] integers or strings, booleans as 0 and 1; or [B, C] as they came.

    Raises:
        ValueError: another rank, or one-dimensional labels that are neither integers nor strings.
    """
    if not tf.is_tensor(labels) and not _holds_tensors(labels):
        labels = label_array(labels, name)
        if labels.dtype == object:
            labels = np.array([label.encode("utf-8", "surrogateescape") for label in labels], object)
            return tf.constant(labels, tf.string)
        return tf.constant(labels)
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank == 2 and labels.shape[1] == 1:
        labels = tf.squeeze(labels, axis=1)
    _check(name, labels.shape, np.dtype(labels.dtype.as_numpy_dtype))
    return tf.cast(labels, tf.int64) if labels.shape.rank == 1 and labels.dtype.is_bool else labels


def label_array(labels: TensorLike, name: str = "labels") -> np.ndarray:
    """What `as_labels` gives, in NumPy.

    Returns:
        [B] int64, where unsigned ones above 2^63 wrap around and stay different; [B] strings, of dtype object; or
        [B, C] as they came.

    Raises:
        ValueError: as `as_labels`.
    """
    labels = _read(labels, name)
    _check(name, labels.shape, labels.dtype)
    return labels.astype(np.int64) if labels.ndim == 1 and labels.dtype != object else labels


def class_array(labels: TensorLike, name: str = "labels") -> np.ndarray:
    """`label_array` where every row must have one class.

    Returns:
        [B] int64 or strings of dtype object.

    Raises:
        ValueError: as `as_labels`; rows of several classes.
    """
    read = _read(labels, name)
    if read.ndim == 2:
        raise ValueError(
            f"{name} must be one a row, [{len(read)}]; got {list(read.shape)}: rows of several classes (multi-hot or "
            "graded) have no one class; of one-hot rows take labels.argmax(axis=1)"
        )
    if read.ndim != 1:
        raise ValueError(f"{name} must be [n], one a row; got {list(read.shape)}")
    return label_array(read, name)


def rarest_class(labels: TensorLike, name: str = "labels") -> np.ndarray:
    """One class of each row: its only one, or of several the one that fewest rows have.

    Args:
        labels: [B] as for `label_array`, or [B, C], above 0 for the classes of a row.
        name: of the argument, for errors.

    Returns:
        [B] as `label_array` gives them; of several classes the int64 column, the first of equally rare ones.

    Raises:
        ValueError: as `label_array`; a row of several that has none.
    """
    labels = label_array(labels, name)
    if labels.ndim == 1:
        return labels
    is_of = labels > 0
    if not is_of.any(axis=1).all():
        raise ValueError(f"{name} must have a class in every row; got none in row {int(is_of.any(axis=1).argmin())}")
    sizes = np.where(is_of, is_of.sum(axis=0), len(is_of) + 1)
    return sizes.argmin(axis=1)


def are_alike(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[...] bool: whether labels [...] are equal, or multi-hot labels [..., C] share a class."""
    several = labels.dtype == bool and labels.ndim > 0
    return (labels & others).any(axis=-1) if several else labels == others


def class_words(label: np.ndarray, class_names: Sequence[str]) -> str:
    """The name of a class, or of a multi-hot row [C] the names of its classes, such as "red | round"."""
    if np.ndim(label) == 0:
        return class_names[int(label)]
    return " | ".join(class_names[column] for column in np.flatnonzero(label).tolist())


def _read(labels, name):
    """An array of numbers, booleans, or Python's strings in dtype object; a column as [B]."""
    try:
        array = np.asarray(labels)
    except ValueError as error:  # NumPy's own words are about its arrays
        raise ValueError(f"{name} must be [batch], or [batch, classes]; got rows of different lengths") from error
    if isinstance(labels, list | tuple) and array.dtype == np.float64:
        array = array.astype(np.float32)  # as TensorFlow reads Python's
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind in "US" and not isinstance(labels, np.ndarray):
        # As they are: NumPy makes strings of numbers beside strings, and drops trailing zeros.
        array = np.array(labels, object).reshape(array.shape)
    if array.dtype.kind in "OSU":
        array = _read_objects(array, name)
    return array


def _read_objects(array, name):
    values = array.ravel().tolist()
    if all(isinstance(value, str | bytes) for value in values):
        strings = np.empty(len(values), object)
        strings[:] = [value if isinstance(value, str) else value.decode("utf-8", "surrogateescape") for value in values]
        return strings.reshape(array.shape)
    for value in values:
        if not isinstance(value, str | bytes | int | np.integer | np.bool_):
            raise ValueError(f"{name} must be integers or strings; got {type(value).__name__} and the like")
    if any(isinstance(value, str | bytes) for value in values):
        raise ValueError(f"{name} must be integers or strings throughout; got both")
    try:
        return np.array(values, np.int64).reshape(array.shape)
    except OverflowError:
        raise ValueError(f"{name} must be integers of at most 64 bits; got larger ones") from None


def _check(name, shape, dtype):
    """Raises ValueError unless these name classes; strings have NumPy's dtype object."""
    if tf.TensorShape(shape).rank not in (1, 2):
        raise ValueError(f"{name} must be [batch], or [batch, classes] multi-hot; got shape {tf.TensorShape(shape)}")
    if len(shape) == 1 and dtype.kind not in "biuO":
        raise ValueError(
            f"{name} must be integers or strings, as floating numbers merge ids (float32: above 2^24); got {dtype.name}"
        )
    if len(shape) == 2 and dtype.kind in "OMm":
        raise ValueError(f"{name} of several classes a row must be numbers [batch, classes]; got {dtype.name}")


def _holds_tensors(labels):
    """Whether it is a list of tensors, which NumPy cannot read within a `tf.function`."""
    return isinstance(labels, list | tuple) and any(tf.is_tensor(label) for label in labels)
