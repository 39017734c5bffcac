"""Metric learning on TensorFlow and Keras: encoders whose distances mean something.

`import metric_learning` makes the layers of every saved encoder known to Keras, so that `keras.models.load_model` is
all it takes to use one.
"""

import os
import pathlib
import sys


def import_tensorflow() -> None:
    """Imports TensorFlow, and all layers that an encoder may hold.

    TensorFlow comes without the lines that its C++ side prints about CPU features and missing CUDA libraries. They come
    before any log level is looked at, and a newcomer takes them for errors. Set TF_CPP_MIN_LOG_LEVEL=0 to see them.
    """
    _import_tensorflow_quietly()
    import metric_learning.encoders
    import metric_learning.penalties  # noqa: F401


def _import_tensorflow_quietly():
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules or level == "0":
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        import tensorflow  # noqa: F401
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _is_the_program():
    """Whether this is train.py, which calls `import_tensorflow` itself, once there is something to run: --help and a
    misspelled setting are answered at once."""
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    return program is not None and pathlib.Path(program).resolve() == pathlib.Path(__file__).parents[1] / "train.py"


if not _is_the_program():
    import_tensorflow()
