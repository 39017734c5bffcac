"""Judging embeddings: exact search, retrieval metrics, intervals, and thresholds."""

from metric_learning.evaluation.calibration import Calibration as Calibration
from metric_learning.evaluation.calibration import calibrate as calibrate
from metric_learning.evaluation.calibration import curve_of as curve_of
from metric_learning.evaluation.calibration import rates_at as rates_at
from metric_learning.evaluation.embed import embed as embed
from metric_learning.evaluation.evaluate import Evaluation as Evaluation
from metric_learning.evaluation.evaluate import evaluate as evaluate
from metric_learning.evaluation.judge import Judge as Judge
from metric_learning.evaluation.judge import check_objective as check_objective
from metric_learning.evaluation.nearest import nearest_of_all as nearest_of_all
from metric_learning.evaluation.nearest import nearest_of_pairs as nearest_of_pairs
from metric_learning.evaluation.rerank import expand_queries as expand_queries
from metric_learning.evaluation.rerank import k_reciprocal as k_reciprocal
from metric_learning.evaluation.search import Neighbors as Neighbors
from metric_learning.evaluation.search import search as search
from metric_learning.evaluation.variants import evaluate_variants as evaluate_variants
from metric_learning.evaluation.vector_files import read_vectors as read_vectors
