"""Jobs that come together are done together, each gets its own answer, and nobody waits for what another did wrong."""

import asyncio
import threading

import pytest

pytest.importorskip("fastapi")
from metric_learning.serving import batching
from metric_learning.serving.batching import Batcher, Full


def run(work, ask, **options):
    """What `ask(batcher)` gives, of a batcher over `work`, and the batches that it made."""
    batches = []

    def noted(jobs):
        batches.append(list(jobs))
        return work(jobs)

    async def main():
        async with Batcher(noted, **{"most": 4, "wait": 0.001, "waiting": 100} | options) as batcher:
            return await ask(batcher)

    return asyncio.run(main()), batches


@pytest.fixture
def held():
    """(work, busy, go on): work that says when it has begun, and ends when it is told to."""
    busy, go_on = threading.Event(), threading.Event()

    def work(jobs):
        busy.set()
        assert go_on.wait(30)
        return jobs

    return work, busy, go_on


def test_each_gets_its_own_answer_and_batches_are_full():
    async def ask(batcher):
        return await asyncio.gather(*(batcher(i) for i in range(11)))

    answers, batches = run(lambda jobs: [job**2 for job in jobs], ask)
    assert answers == [i**2 for i in range(11)]
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


def test_while_one_batch_is_at_work_the_next_one_gathers(held):
    work, busy, go_on = held

    async def ask(batcher):
        first = asyncio.create_task(batcher("first"))
        await asyncio.to_thread(busy.wait, 30)
        later = []
        for i in range(3):
            later.append(asyncio.create_task(batcher(i)))
            await asyncio.sleep(0.01)  # each later than the wait of the one before
        go_on.set()
        return await asyncio.gather(first, *later)

    answers, batches = run(work, ask)
    assert answers == ["first", 0, 1, 2] and batches == [["first"], [0, 1, 2]]


def test_sizes_are_those_of_the_items_and_a_large_job_goes_alone():
    async def ask(batcher):
        return await asyncio.gather(*(batcher(size, size) for size in (1, 3, 1, 9, 2, 2)))

    answers, batches = run(list, ask)
    assert answers == [1, 3, 1, 9, 2, 2] and batches == [[1, 3], [1], [9], [2, 2]]


def test_what_is_wrong_with_one_is_said_of_that_one():
    def work(jobs):
        if "bad" in jobs:
            raise ValueError("a bad job")
        return [job.upper() for job in jobs]

    async def ask(batcher):
        return await asyncio.gather(*map(batcher, ["a", "bad", "b"]), return_exceptions=True)

    answers, _ = run(work, ask)
    assert answers[0] == "A" and answers[2] == "B"
    assert isinstance(answers[1], ValueError) and str(answers[1]) == "a bad job"


def test_what_nobody_waits_for_any_more_is_not_done(held):
    work, busy, go_on = held

    async def ask(batcher):
        first = asyncio.create_task(batcher("first"))
        await asyncio.to_thread(busy.wait, 30)
        gone, kept = asyncio.create_task(batcher("gone")), asyncio.create_task(batcher("kept"))
        await asyncio.sleep(0)
        gone.cancel()
        go_on.set()
        return await asyncio.gather(first, gone, kept, return_exceptions=True)

    answers, batches = run(work, ask)
    assert answers[::2] == ["first", "kept"] and isinstance(answers[1], asyncio.CancelledError)
    assert batches == [["first"], ["kept"]]


def test_more_than_may_wait_is_refused_and_the_rest_is_done():
    async def ask(batcher):
        return await asyncio.gather(*(batcher(i, 3) for i in range(4)), return_exceptions=True)

    answers, _ = run(list, ask, waiting=7, most=3)
    assert answers[:2] == [0, 1] and all(isinstance(answer, Full) for answer in answers[2:])


def test_an_answer_may_be_an_exception_of_its_own_job():
    async def ask(batcher):
        return await asyncio.gather(*map(batcher, [1, 0, 2]), return_exceptions=True)

    answers, batches = run(lambda jobs: [job or ValueError("nothing") for job in jobs], ask)
    assert answers[::2] == [1, 2] and str(answers[1]) == "nothing" and batches == [[1, 0, 2]]


def test_what_is_here_is_shared_out_among_the_threads():
    """Half of eight goes to either thread, and both are at work at the same time."""
    together = threading.Barrier(2)

    def work(jobs):
        together.wait(30)
        return jobs

    async def ask(batcher):
        return await asyncio.gather(*map(batcher, range(8)))

    answers, batches = run(work, ask, threads=2, most=64, wait=30.0)
    assert answers == list(range(8)) and sorted(batches) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_one_alone_does_not_wait_for_others():
    async def ask(batcher):
        return await asyncio.wait_for(batcher("alone"), 30)

    assert run(list, ask, threads=2, wait=3600.0) == ("alone", [["alone"]])


def test_less_than_a_share_begins_once_it_has_waited():
    release = threading.Event()

    def work(jobs):
        assert jobs != ["first"] or release.wait(30)
        return jobs

    async def ask(batcher):
        first = asyncio.create_task(batcher("first", 3))
        await asyncio.sleep(0.01)
        second = await asyncio.wait_for(batcher("second", 1), 30)  # a share is two
        release.set()
        return [await first, second]

    assert run(work, ask, threads=2) == (["first", "second"], [["first"], ["second"]])


def test_a_thread_searches_on_its_share_of_the_cores(monkeypatch):
    shared = []
    monkeypatch.setattr(batching, "threadpool_limits", lambda count, user_api: shared.append((count, user_api)))
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(8), raising=False)
    batching.share_cores(2)
    batching.share_cores(16)
    assert shared == [(4, "openmp"), (1, "openmp")]


def test_who_still_waits_at_the_end_is_told():
    async def main():
        async with Batcher(list, most=4, wait=60.0, waiting=9) as batcher:
            waiting = asyncio.create_task(batcher(1))
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
