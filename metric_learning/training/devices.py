"""What a run computes on, and in which precision."""

import keras
import tensorflow as tf

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


def is_chief(cluster):
    """Whether this process keeps the books: of several workers the one called chief, or else the first.

    Args:
        cluster: `strategy.cluster_resolver`; None, or one without a cluster, for a single process.
    """
    jobs = [] if cluster is None else cluster.cluster_spec().jobs
    return not jobs or (cluster.task_type, cluster.task_id) == ("chief" if "chief" in jobs else "worker", 0)


def set_precision(precision):
    """Sets Keras' policy for all layers made from here on; raises ValueError unless it is one of PRECISIONS."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    keras.config.set_dtype_policy(precision)


def start_afresh(seed, precision):
    """Forgets the models of the run before, in a sweep, and makes this one the same whenever it is started again."""
    keras.utils.clear_session()
    set_precision(precision)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
