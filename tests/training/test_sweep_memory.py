"""What a run leaves in its process: nothing that the runs of a sweep would add up."""

import collections
import gc

import pytest
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph

import train
from metric_learning import losses
from metric_learning.data import BatchPlan
from metric_learning.training import Learner
from metric_learning.training.devices import start_afresh

KINDS = (FuncGraph, tf.Operation, tf.Variable, losses.Triplet, Learner, BatchPlan)


def alive():
    """How many objects of each kind there are: what a graph holds, and what holds a graph."""
    gc.collect()
    gc.collect()
    return collections.Counter(kind.__name__ for each in gc.get_objects() for kind in KINDS if isinstance(each, kind))


def test_a_graph_with_a_custom_gradient_goes_with_its_function():
    @tf.custom_gradient
    def double(x):
        return 2.0 * x, lambda upstream: 2.0 * upstream

    def trace():
        tf.function(lambda x: double(x + 1.0), autograph=False)(tf.ones([3]))

    start_afresh(0, "float32")
    before = alive()
    for _ in range(3):
        trace()
        start_afresh(0, "float32")
    assert alive() == before


@pytest.mark.slow
def test_runs_of_a_sweep_leave_nothing_alive(configure, tmp_path):
    found = []
    for i in range(5):
        train.experiment(configure(f"seed={i}"), tmp_path / str(i), resume=False)
        found.append(alive())
    assert found[2] == found[3] == found[4], found
