"""Metric learning on TensorFlow and Keras: encoders whose distances mean something."""

import os
import sys


def _import_tensorflow_quietly():
    """Imports TensorFlow without the lines that its C++ side prints about CPU features and missing CUDA libraries.

    They come before any log level is looked at, and a newcomer takes them for errors. Set TF_CPP_MIN_LOG_LEVEL=0 to
    see them.
    """
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


_import_tensorflow_quietly()
