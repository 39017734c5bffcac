"""Tuples of a batch: what miners choose and losses weigh, how to find and walk through them, and means over them.

Anchors are the rows and references the columns of a matrix [B, M]. This is all that a loss or a miner needs; the
modules within are for each other.
"""

from metric_learning.tuples.masked import log_sum_exp, masked_mean, mean_of_anchors, mean_per_anchor, share_mean
from metric_learning.tuples.second_negatives import to_quadruplets
from metric_learning.tuples.selections import (
    AnyMiner,
    Pairs,
    Quadruplets,
    Selection,
    Triplets,
    all_pairs,
    distinct,
    to_pairs,
)
from metric_learning.tuples.semi_hard import nearest_farther
from metric_learning.tuples.sorted_search import count_up_to_where, sort_rows
from metric_learning.tuples.walks import (
    at,
    columns_of,
    entries,
    in_blocks,
    largest_count,
    next_column,
    put,
    through_columns,
)

__all__ = [
    "AnyMiner",
    "Pairs",
    "Quadruplets",
    "Selection",
    "Triplets",
    "all_pairs",
    "at",
    "columns_of",
    "count_up_to_where",
    "distinct",
    "entries",
    "in_blocks",
    "largest_count",
    "log_sum_exp",
    "masked_mean",
    "mean_of_anchors",
    "mean_per_anchor",
    "nearest_farther",
    "next_column",
    "put",
    "share_mean",
    "sort_rows",
    "through_columns",
    "to_pairs",
    "to_quadruplets",
]
