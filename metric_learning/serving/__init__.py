"""An encoder and its index behind HTTP: for programs, and a page for people."""

from metric_learning.serving.app import create_app as create_app
from metric_learning.serving.limits import Limits as Limits
from metric_learning.serving.server import listen_on as listen_on
from metric_learning.serving.server import names_of as names_of
from metric_learning.serving.server import run as run
