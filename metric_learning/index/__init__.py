"""Galleries to be searched and matched."""

from metric_learning.index.approximate_search import KINDS as KINDS
from metric_learning.index.filling import fill as fill
from metric_learning.index.index import Index as Index
from metric_learning.index.second_look import second_look as second_look
from metric_learning.index.shard import Hit as Hit
