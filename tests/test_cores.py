"""Threads are as many as the cores that this process may use, not those of the machine."""

import os
import pathlib

import pytest

from metric_learning.cores import usable_cores

PACKAGE = pathlib.Path(__file__).parent.parent / "metric_learning"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not keep processes to cores")
def test_a_process_that_is_kept_to_some_cores_has_those():
    allowed = os.sched_getaffinity(0)
    assert usable_cores() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(("of_machine", "expected"), [(6, 6), (None, 1)])
def test_elsewhere_it_has_those_of_the_machine(monkeypatch, of_machine, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: of_machine)
    assert usable_cores() == expected


def test_nothing_else_counts_cores():
    counting = {file.name for file in PACKAGE.rglob("*.py") if "cpu_count" in file.read_text(encoding="utf-8")}
    assert counting == {"cores.py", "litert_file.py"}  # the latter in a program that it writes for others
