"""What a run computes on, and in which precision."""

import json
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework import ops  # nothing public reaches its registry

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


def mirrored(devices: Sequence[str] | None = None, logical_cpus: int | None = None) -> tf.distribute.MirroredStrategy:
    """Replicas on the devices of this machine.

    Args:
        devices: names such as "GPU:0"; None for all GPUs, or else the CPU.
        logical_cpus: parts the CPU into so many devices, to try replicas where there is no GPU; at least 1.

    Returns:
        tf.distribute.MirroredStrategy.

    Raises:
        ValueError: a device that is not there, or a number of CPUs that comes too late for this process.
    """
    if logical_cpus is not None:
        part_cpu(logical_cpus)
        devices = devices or [f"CPU:{i}" for i in range(logical_cpus)]
    there = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    missing = [device for device in devices or () if device.upper() not in there]
    if missing:
        raise ValueError(f"strategy.devices must be among {', '.join(there)}; got {', '.join(missing)}")
    return tf.distribute.MirroredStrategy(devices)


def part_cpu(count: int) -> None:
    """Makes `count` devices of the CPU, once in a process."""
    if count < 1:
        raise ValueError(f"strategy.logical_cpus must be at least 1; got {count}")
    try:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError:  # TensorFlow has begun
        found = len(tf.config.list_logical_devices("CPU"))
        if found != count:
            raise ValueError(
                f"strategy.logical_cpus must stay as it is in one process; it is {found}, got {count}"
            ) from None


def multi_worker(timeout: float = 300.0) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Replicas on several machines, which the environment variable TF_CONFIG names.

    Args:
        timeout: seconds to wait for the others, see `await_workers`.

    Returns:
        tf.distribute.MultiWorkerMirroredStrategy.
    """
    await_workers(json.loads(os.environ.get("TF_CONFIG") or "{}"), timeout)
    return tf.distribute.MultiWorkerMirroredStrategy()


def await_workers(config: Mapping[str, Any], timeout: float) -> None:
    """Returns once all workers of a cluster have been started; TensorFlow itself would wait without a word, and on.

    Each listens at its own address for the others, until TensorFlow does.

    Args:
        config: of TF_CONFIG: "cluster" and "task".
        timeout: seconds.

    Raises:
        TimeoutError: naming those that have not been started in time.
    """
    cluster, task = config.get("cluster", {}), config.get("task", {})
    addresses = [address for job in ("chief", "worker") for address in cluster.get(job, ())]
    if len(addresses) < 2:
        return
    own = cluster[task["type"]][task["index"]]
    waiting, until, told = [address for address in addresses if address != own], time.monotonic() + timeout, False
    with socket.create_server(("", int(own.rpartition(":")[2])), backlog=len(addresses)):
        while waiting := [address for address in waiting if not _answers(address)]:
            if time.monotonic() > until:
                raise TimeoutError(f"{', '.join(waiting)} of TF_CONFIG did not answer within {timeout:g} s")
            if not told:
                print(f"{own} waits up to {timeout:g} s for {', '.join(waiting)}", file=sys.stderr, flush=True)
            told = True
            time.sleep(0.2)


def _answers(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return False
    return True


def is_chief(cluster: tf.distribute.cluster_resolver.ClusterResolver | None) -> bool:
    """Whether this process keeps the books: of several workers the one called chief, or else the first.

    Args:
        cluster: `strategy.cluster_resolver`; None, or one without a cluster, for a single process.
    """
    jobs = [] if cluster is None else cluster.cluster_spec().jobs
    if cluster is None or not jobs:
        return True
    return (cluster.task_type, cluster.task_id) == ("chief" if "chief" in jobs else "worker", 0)


def start_afresh(seed: int, precision: str) -> None:
    """Forgets the models of the run before, in a sweep, and makes this one the same whenever it is started again.

    Args:
        seed: of everything that Keras and TensorFlow draw.
        precision: Keras' policy for all layers made from here on, one of PRECISIONS.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    keras.utils.clear_session()
    forget_custom_gradients()
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def forget_custom_gradients() -> None:
    """Lets go of the graphs that were traced so far, once nothing else needs them.

    TensorFlow remembers the gradient of each call of a `tf.custom_gradient` function in a graph, by a name of its own,
    for as long as the process lives, and by it the whole graph: https://github.com/tensorflow/tensorflow/issues/97697.
    """
    gradients = ops.gradient_registry._registry
    for name in [name for name in gradients if name.startswith("CustomGradient-")]:
        del gradients[name]
