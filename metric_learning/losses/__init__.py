"""Losses on embeddings: Keras `Loss` classes, one small file each."""

from metric_learning.losses.contrastive import Contrastive
from metric_learning.losses.cosine import Cosine
from metric_learning.losses.quadruplet import Quadruplet
from metric_learning.losses.triplet import Triplet

__all__ = ["Contrastive", "Cosine", "Quadruplet", "Triplet"]
