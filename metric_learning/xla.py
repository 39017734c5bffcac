"""What XLA can do: it lacks some of TensorFlow's kernels, and makes better ones of simple operations."""

import tensorflow as tf
from tensorflow.python.ops import control_flow_util  # TensorFlow has no public way to ask


def compiling() -> bool:
    """True while a `tf.function(jit_compile=True)`, or anything it calls, is traced; False elsewhere."""
    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def nan_outside(values: tf.Tensor, numbers: tf.Tensor, count: int) -> tf.Tensor:
    """The rows, NaN where a number of theirs is outside 0 to count - 1.

    XLA drops assertions and reads the nearest row of a table instead, so that such numbers would count as others.

    Args:
        values: [B, ...] floating.
        numbers: [B, ...] integers, however many a row has.
        count: at least 1.
    """
    numbers = tf.cast(numbers, tf.int64)
    is_there = tf.reduce_all((numbers >= 0) & (numbers < count), axis=list(range(1, numbers.shape.rank)))
    is_there = tf.reshape(is_there, [-1] + [1] * (values.shape.rank - 1))
    return tf.where(is_there, values, tf.constant(float("nan"), values.dtype))


def check_compiles(function: tf.types.experimental.PolymorphicFunction, *arguments: tf.TensorSpec) -> None:
    """Looks for operations that XLA lacks, in a fraction of the time that it takes to compile.

    Args:
        function: a `tf.function(jit_compile=True)`.
        arguments: what it will be called with, as `tf.TensorSpec`.

    Raises:
        ValueError: there are some.
    """
    try:
        function.experimental_get_compiler_ir(*arguments)(stage="hlo")
    except ValueError as error:
        start = "Failed getting HLO text: '"
        if not str(error).startswith(start):  # not of XLA: the function refuses its arguments
            raise
        # The first line names the operation; the stack and the graph follow.
        reason = str(error).removeprefix(start).splitlines()[0].partition(" (No registered")[0].removesuffix(".")
        raise ValueError(f"XLA cannot compile this training step ({reason}); set jit_compile=false") from error
