"""Encoders in formats that others read: Keras, SavedModel for TensorFlow Serving, ONNX, LiteRT."""

from metric_learning.export.check import raw_items_of as raw_items_of
from metric_learning.export.check import run_in as run_in
from metric_learning.export.export import FORMATS as FORMATS
from metric_learning.export.export import Exported as Exported
from metric_learning.export.export import check_packages as check_packages
from metric_learning.export.export import export as export
from metric_learning.export.export import given as given
from metric_learning.export.folder import check_free as check_free
