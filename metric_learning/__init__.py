"""Metric learning on TensorFlow and Keras: encoders whose distances mean something.

    encoder = metric_learning.load("outputs/RUN")
    index = encoder.index(["a.jpg", "b.jpg"])
    index.search(encoder.embed("query.jpg"), k=5)

`import metric_learning` also makes the layers of every saved encoder known to Keras, so that `keras.models.load_model`
is all it takes to use the bare model.
"""

import importlib
import importlib.metadata
import os
import pathlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metric_learning.encoder import Encoder as Encoder
    from metric_learning.encoder import load as load
    from metric_learning.index import Index as Index

# What a user holds after training -> where it is; imported when it is asked for, as FAISS and Pillow take a second.
_LATER = {"Encoder": "metric_learning.encoder", "load": "metric_learning.encoder", "Index": "metric_learning.index"}
_PACKAGES = ("data", "distances", "encoders", "evaluation", "losses", "optimizers", "penalties", "report", "training")

__all__ = ["Encoder", "Index", "__version__", "import_tensorflow", "load", *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("metric_learning")
    if name not in {*_LATER, *_PACKAGES}:
        raise AttributeError(f"module 'metric_learning' has no attribute {name!r}")
    import_tensorflow()
    module = importlib.import_module(_LATER.get(name, f"metric_learning.{name}"))
    return getattr(module, name) if name in _LATER else module


def __dir__() -> list[str]:
    return __all__


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


def _is_a_program():
    """Whether this is train.py or one of scripts/, which call `import_tensorflow` themselves, once there is something
    to do: --help and a misspelled setting are answered at once."""
    program = pathlib.Path(getattr(sys.modules.get("__main__"), "__file__", None) or "").resolve()
    root = pathlib.Path(__file__).parents[1].resolve()
    return program == root / "train.py" or program.parent == root / "scripts"


if not _is_a_program():
    import_tensorflow()
