"""An encoder and its index behind HTTP: for programs, and a page for people."""

from typing import TYPE_CHECKING, Any

from metric_learning.serving.limits import Limits as Limits
from metric_learning.serving.server import listen_on as listen_on
from metric_learning.serving.server import names_of as names_of
from metric_learning.serving.server import run as run

if TYPE_CHECKING:
    from metric_learning.serving.app import create_app as create_app


def __getattr__(name: str) -> Any:
    """`create_app`, once it is asked for: it needs TensorFlow and FastAPI, and limits are looked at before."""
    if name != "create_app":
        raise AttributeError(f"module 'metric_learning.serving' has no attribute {name!r}")
    from metric_learning.serving.app import create_app

    return create_app
