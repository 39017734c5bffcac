"""Online miners: which pairs or triplets of a batch the loss should look at.

Each is a frozen dataclass called as `miner(distances, positive_mask, negative_mask)`, with the distances [B, M] float32
and the boolean masks of `metric_learning.relations`. It returns a selection of static shape, through which no gradient
flows, and works inside `tf.function` with and without XLA. An anchor without a valid tuple selects nothing.
"""

from miners.angular import Angular
from miners.batch_easy_hard import BatchEasyHard
from miners.batch_hard import BatchHard
from miners.distance_weighted import DistanceWeighted
from miners.easy_positive import EasyPositive
from miners.hard_negatives import HardNegatives
from miners.hard_pairs import HardPairs
from miners.miner import Miner as Miner  # to derive one of your own from, no choice of `miner=`
from miners.multi_similarity import MultiSimilarity
from miners.packed import Packed
from miners.pair_margin import PairMargin
from miners.quadruplet_margin import QuadrupletMargin
from miners.random import Random
from miners.schedule import Schedule
from miners.semi_hard import SemiHard
from miners.triplet_margin import TripletMargin
from miners.uniform_histogram import UniformHistogram

__all__ = [
    "Angular",
    "BatchEasyHard",
    "BatchHard",
    "DistanceWeighted",
    "EasyPositive",
    "HardNegatives",
    "HardPairs",
    "MultiSimilarity",
    "Packed",
    "PairMargin",
    "QuadrupletMargin",
    "Random",
    "Schedule",
    "SemiHard",
    "TripletMargin",
    "UniformHistogram",
]
