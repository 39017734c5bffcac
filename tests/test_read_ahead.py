"""Results come in order, whoever read them, and no more are read than were asked for."""

import threading
import time

import pytest

from metric_learning.read_ahead import read_ahead


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_order_does_not_depend_on_the_threads_nor_on_how_long_each_takes(threads):
    def read(number):
        time.sleep(0.02 if number % 3 == 0 else 0.0)
        return number * 10

    assert list(read_ahead(read, 20, first=7, threads=threads)) == [number * 10 for number in range(7, 20)]


def test_a_few_are_read_ahead_and_no_more():
    read_so_far, ahead = [], []
    for done in read_ahead(lambda number: read_so_far.append(number) or number, 50, threads=2):
        time.sleep(0.01)
        ahead.append(max(read_so_far) - done)
    assert 1 <= max(ahead) <= 3


def test_reads_in_other_threads_while_the_caller_works():
    threads = set(read_ahead(lambda number: threading.get_ident(), 8))
    assert threading.get_ident() not in threads


def test_error_of_a_reader_reaches_the_caller_as_it_is_when_its_turn_comes():
    def read(number):
        if number == 3:
            raise ValueError("photo 3 is broken")
        return number

    results = read_ahead(read, 9)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError) as raised:
        next(results)
    assert str(raised.value) == "photo 3 is broken" and not raised.value.__notes__  # Grain has some of its own


def test_threads_end_with_the_generator():
    before = threading.active_count()
    results = read_ahead(lambda number: number, 1000)
    assert next(results) == 0
    results.close()
    for _ in range(100):
        if threading.active_count() == before:
            return
        time.sleep(0.02)
    raise AssertionError(f"{threading.active_count()} threads, {before} before")


def test_nothing_to_read_and_nothing_read_are_no_errors():
    assert list(read_ahead(lambda number: number, 4, first=4)) == []
    assert list(read_ahead(lambda number: None, 2)) == [None, None]


def test_no_thread_is_refused():
    with pytest.raises(ValueError, match="threads must be at least 1; got 0"):
        next(read_ahead(lambda number: number, 2, threads=0))
