"""Losses on embeddings: Keras `Loss` classes, one small file each.

`__all__` lists the choices of `loss=`. Besides there are `Packed`, for tuples as columns of one output, and what a loss
of your own derives from: `TupleLoss` (pairs or triplets that a miner chooses), `DistanceLoss` (a whole row of
distances), `ClassLoss` (learned vectors of classes), `PredictionLoss` (targets and predictions), `EmbeddingLoss` (all
else).
"""

from metric_learning.losses.adaptive_triplet import AdaptiveTriplet
from metric_learning.losses.angular import Angular
from metric_learning.losses.arc_face import ArcFace
from metric_learning.losses.barlow_twins import BarlowTwins
from metric_learning.losses.circle import Circle
from metric_learning.losses.class_loss import ClassLoss as ClassLoss
from metric_learning.losses.contrastive import Contrastive
from metric_learning.losses.cos_face import CosFace
from metric_learning.losses.cosine import Cosine
from metric_learning.losses.cross_entropies import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    KLDivergence,
    SparseCategoricalCrossentropy,
)
from metric_learning.losses.decoupled_contrastive import DecoupledContrastive
from metric_learning.losses.distance_loss import DistanceLoss as DistanceLoss
from metric_learning.losses.distance_loss import TupleLoss as TupleLoss
from metric_learning.losses.dynamic_soft_margin import DynamicSoftMargin
from metric_learning.losses.embedding_loss import EmbeddingLoss as EmbeddingLoss
from metric_learning.losses.f_beta import FBeta
from metric_learning.losses.fast_ap import FastAP
from metric_learning.losses.focal import BinaryFocalCrossentropy, CategoricalFocalCrossentropy
from metric_learning.losses.generalized_lifted_structure import GeneralizedLiftedStructure
from metric_learning.losses.hinges import CategoricalHinge, Hinge, SquaredHinge
from metric_learning.losses.histogram import Histogram
from metric_learning.losses.hybrid import Hybrid
from metric_learning.losses.instance import Instance
from metric_learning.losses.intra_pair_variance import IntraPairVariance
from metric_learning.losses.large_margin_softmax import LargeMarginSoftmax
from metric_learning.losses.lifted_structure import LiftedStructure
from metric_learning.losses.manifold import Manifold
from metric_learning.losses.margin import Margin
from metric_learning.losses.matryoshka import Matryoshka
from metric_learning.losses.multi_similarity import MultiSimilarity
from metric_learning.losses.n_pairs import NPairs
from metric_learning.losses.nca import NCA
from metric_learning.losses.normalized_softmax import NormalizedSoftmax
from metric_learning.losses.nt_xent import NTXent
from metric_learning.losses.p2s_grad import P2SGrad
from metric_learning.losses.packed import Packed as Packed
from metric_learning.losses.pnp import PNP
from metric_learning.losses.prediction_loss import PredictionLoss as PredictionLoss
from metric_learning.losses.proxy_anchor import ProxyAnchor
from metric_learning.losses.proxy_nca import ProxyNCA
from metric_learning.losses.quadruplet import Quadruplet
from metric_learning.losses.ranked_list import RankedList
from metric_learning.losses.recall_at_k import RecallAtK
from metric_learning.losses.regressions import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
)
from metric_learning.losses.sigmoid import Sigmoid
from metric_learning.losses.smooth_ap import SmoothAP
from metric_learning.losses.snr_contrastive import SNRContrastive
from metric_learning.losses.soft_nearest_neighbor import SoftNearestNeighbor
from metric_learning.losses.soft_triple import SoftTriple
from metric_learning.losses.sphere_face import SphereFace
from metric_learning.losses.sub_center_arc_face import SubCenterArcFace
from metric_learning.losses.sup_con import SupCon
from metric_learning.losses.threshold_consistent_margin import ThresholdConsistentMargin
from metric_learning.losses.triplet import Triplet
from metric_learning.losses.tuplet_margin import TupletMargin
from metric_learning.losses.vicreg import VICReg

__all__ = [
    "AdaptiveTriplet",
    "Angular",
    "ArcFace",
    "BarlowTwins",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "Circle",
    "Contrastive",
    "CosFace",
    "Cosine",
    "CosineSimilarity",
    "DecoupledContrastive",
    "DynamicSoftMargin",
    "FBeta",
    "FastAP",
    "GeneralizedLiftedStructure",
    "Hinge",
    "Histogram",
    "Huber",
    "Hybrid",
    "Instance",
    "IntraPairVariance",
    "KLDivergence",
    "LargeMarginSoftmax",
    "LiftedStructure",
    "LogCosh",
    "Manifold",
    "Margin",
    "Matryoshka",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MultiSimilarity",
    "NPairs",
    "NCA",
    "NormalizedSoftmax",
    "NTXent",
    "P2SGrad",
    "PNP",
    "Poisson",
    "ProxyAnchor",
    "ProxyNCA",
    "Quadruplet",
    "RankedList",
    "RecallAtK",
    "Sigmoid",
    "SmoothAP",
    "SNRContrastive",
    "SoftNearestNeighbor",
    "SoftTriple",
    "SparseCategoricalCrossentropy",
    "SphereFace",
    "SquaredHinge",
    "SubCenterArcFace",
    "SupCon",
    "ThresholdConsistentMargin",
    "Triplet",
    "TupletMargin",
    "VICReg",
]
