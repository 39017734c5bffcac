"""Requests that come together are done together: while one batch is at work, the next one gathers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

from threadpoolctl import threadpool_limits

from metric_learning.cores import usable_cores

Job = TypeVar("Job")
Answer = TypeVar("Answer")


class Full(RuntimeError):
    """So much is waiting that one more would wait too long."""


class _Waiting(NamedTuple):
    job: object
    size: int
    since: float  # by the clock of the loop
    answer: asyncio.Future


class Batcher(Generic[Job, Answer]):
    """Gathers jobs and does them in a few threads, a batch in each, which has its jobs in the order in which they came.

    What is here, waiting or at work, is shared out among the threads: a batch begins when its share is waiting, and
    takes no more, so that one alone is done at once, and while some are in the model others are read and answered. With
    less than its share it begins once its first job has waited long enough and the batch that was done last is done for
    as long, as those who have just been answered ask again. Use it as an asynchronous context manager.

    Args:
        work: function of jobs to as many answers, of which each may be an exception, that is raised for this job. If
            `work` itself raises, the jobs are done again each alone, so that it is said of the one that is wrong.
        most: items of a batch; a job of more has one to itself.
        wait: seconds that the first job of a batch waits for others.
        waiting: items that may wait.
        threads: batches at work at the same time.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Job]], Sequence[Answer | Exception]],
        *,
        most: int,
        wait: float,
        waiting: int,
        threads: int = 1,
    ) -> None:
        self._work = work
        self._most = most
        self._wait = wait
        self._waiting = waiting
        self._threads = threads
        self._queue: deque[_Waiting] = deque()
        self._items = 0  # that wait
        self._at_work = 0
        self._done = 0.0  # when the last batch was, by the clock of the loop
        self._arrived, self._enough = asyncio.Event(), asyncio.Event()
        self._gathering = asyncio.Lock()

    async def __aenter__(self) -> Batcher[Job, Answer]:
        self._pool = ThreadPoolExecutor(self._threads, "batch", initializer=share_cores, initargs=(self._threads,))
        self._running = [asyncio.create_task(self._run()) for _ in range(self._threads)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for waiting in self._queue:
            waiting.answer.cancel()
        self._pool.shutdown()

    async def __call__(self, job: Job, size: int = 1) -> Answer:
        """The answer to a job of `size` items.

        Raises:
            Full: too many are waiting; and what `work` raises for this job.
        """
        if self._queue and self._items + size > self._waiting:
            raise Full(f"{self._items} items are waiting already; try again later")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(job, size, loop.time(), loop.create_future())
        self._queue.append(waiting)
        self._count(size)
        return await waiting.answer

    def _count(self, waiting, at_work=0):
        self._items += waiting
        self._at_work += at_work
        for event, happened in ((self._arrived, bool(self._queue)), (self._enough, self._items >= self._share())):
            if happened:
                event.set()
            else:
                event.clear()

    def _share(self):
        """How many items a batch should have."""
        return min(self._most, -(-(self._items + self._at_work) // self._threads))

    async def _run(self):
        loop = asyncio.get_running_loop()
        while True:
            async with self._gathering:  # one thread at a time
                batch = await self._gather()
            jobs = [waiting.job for waiting in batch]
            answers = await loop.run_in_executor(self._pool, self._answers, jobs)
            self._done = loop.time()
            self._count(0, -sum(waiting.size for waiting in batch))
            for waiting, answer in zip(batch, answers, strict=True):
                if waiting.answer.done():
                    continue  # nobody waits for it any more
                if isinstance(answer, Exception):
                    waiting.answer.set_exception(answer)
                else:
                    waiting.answer.set_result(answer)

    async def _gather(self):
        batch: list[_Waiting] = []
        while not batch:
            await self._arrived.wait()
            if not self._enough.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(max(self._queue[0].since, self._done) + self._wait):
                        await self._enough.wait()
            batch = self._next_batch()
        return batch

    def _next_batch(self):
        batch: list[_Waiting] = []
        share, items = self._share(), 0
        while self._queue and (not batch or items + self._queue[0].size <= share):
            waiting = self._queue.popleft()
            if waiting.answer.done():
                self._count(-waiting.size)
            else:
                self._count(-waiting.size, waiting.size)
                batch.append(waiting)
                items += waiting.size
        return batch

    def _answers(self, jobs):
        try:
            return self._work(jobs)
        except Exception as error:
            return [error] if len(jobs) == 1 else [answer for job in jobs for answer in self._answers([job])]


def share_cores(threads: int) -> None:
    """Has this thread, one of so many, search on its share of the cores: by itself it would wait for all of them."""
    threadpool_limits(max(1, usable_cores() // threads), user_api="openmp")
