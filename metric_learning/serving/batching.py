"""Requests that come together are done together: while one batch is at work, the next one gathers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

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
    """Gathers jobs and does them in one thread, batch after batch, each in the order in which its jobs came.

    A batch begins when it is full, or when its first job has waited long enough and the batch before it is done for as
    long: those who have just been answered ask again, and half of them would else be in every other batch. Use it as an
    asynchronous context manager.

    Args:
        work: function of jobs to as many answers, called in a thread of its own, once at a time. If it raises, the jobs
            are done again each alone, so that what is wrong with one is said of that one.
        most: items of a batch; a job of more has one to itself.
        wait: seconds that the first job of a batch waits for others; after a batch that took long a tenth of that, if
            it is more.
        waiting: items that may wait.
    """

    def __init__(
        self, work: Callable[[Sequence[Job]], Sequence[Answer]], *, most: int, wait: float, waiting: int
    ) -> None:
        self._work = work
        self._most = most
        self._wait = wait
        self._waiting = waiting
        self._queue: deque[_Waiting] = deque()
        self._items = 0
        self._arrived, self._full = asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> Batcher[Job, Answer]:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        for waiting in self._queue:
            waiting.answer.cancel()
        self._thread.shutdown()

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

    def _count(self, size):
        self._items += size
        for event, happened in ((self._arrived, bool(self._queue)), (self._full, self._items >= self._most)):
            if happened:
                event.set()
            else:
                event.clear()

    async def _run(self):
        loop = asyncio.get_running_loop()
        took, done = 0.0, loop.time()
        while True:
            await self._arrived.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(max(self._queue[0].since, done) + max(self._wait, took / 10)):
                    await self._full.wait()
            batch = self._next_batch()
            if not batch:
                continue
            jobs = [waiting.job for waiting in batch]
            begun = loop.time()
            answers = await loop.run_in_executor(self._thread, self._answers, jobs)
            done = loop.time()
            took = done - begun
            for waiting, answer in zip(batch, answers, strict=True):
                if waiting.answer.done():
                    continue  # nobody waits for it any more
                if isinstance(answer, Exception):
                    waiting.answer.set_exception(answer)
                else:
                    waiting.answer.set_result(answer)

    def _next_batch(self):
        batch: list[_Waiting] = []
        items = 0
        while self._queue and (not batch or items + self._queue[0].size <= self._most):
            waiting = self._queue.popleft()
            self._count(-waiting.size)
            if not waiting.answer.done():
                batch.append(waiting)
                items += waiting.size
        return batch

    def _answers(self, jobs):
        try:
            return self._work(jobs)
        except Exception as error:
            return [error] if len(jobs) == 1 else [answer for job in jobs for answer in self._answers([job])]
