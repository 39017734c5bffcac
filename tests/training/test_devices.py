"""Which devices train, and that nobody waits for others without a word, nor forever."""

import concurrent.futures
import re
import socket
import threading

import pytest

from metric_learning.training.devices import await_workers, mirrored


def free_ports(count):
    """Ports that nobody has just now, as the system says."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def configs(count):
    workers = [f"127.0.0.1:{port}" for port in free_ports(count)]
    return [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}} for i in range(count)]


def test_a_worker_alone_says_for_whom_it_waits_and_gives_up(capsys):
    first, second = configs(2)
    absent = first["cluster"]["worker"][1]
    with pytest.raises(TimeoutError, match=f"{absent} of TF_CONFIG did not answer within 0.5 s"):
        await_workers(first, 0.5)
    assert re.fullmatch(rf".* waits up to 0.5 s for {absent}\n", capsys.readouterr().err)


def test_workers_that_are_started_meet():
    all_met = threading.Barrier(3)

    def work(config):
        await_workers(config, 60.0)
        address = config["cluster"]["worker"][config["task"]["index"]]
        with socket.create_server(("", int(address.rpartition(":")[2]))):  # as TensorFlow listens from here on
            all_met.wait(timeout=60.0)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(work, configs(3)))


def test_one_worker_waits_for_nobody():
    await_workers({}, 0.0)
    await_workers(configs(1)[0], 0.0)


def test_devices_that_are_not_there_are_named():
    with pytest.raises(ValueError, match="strategy.devices must be among CPU:0.*; got GPU:7"):
        mirrored(devices=["GPU:7"])
    with pytest.raises(ValueError, match="strategy.logical_cpus must be at least 1; got 0"):
        mirrored(logical_cpus=0)
    with pytest.raises(ValueError, match="strategy.logical_cpus must stay as it is in one process; .* got 64"):
        mirrored(logical_cpus=64)
