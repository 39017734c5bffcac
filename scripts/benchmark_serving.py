"""Measures scripts/serve.py on this machine, beside `encoder.embed` and `index.search` in a loop, in turns.

    python scripts/benchmark_serving.py run=outputs/RUN index=INDEX items=FOLDER           # one item a request
    python scripts/benchmark_serving.py run=outputs/RUN index=INDEX items=texts.txt each=32 clients=4
    python scripts/benchmark_serving.py run=outputs/RUN index=INDEX items=FOLDER turns=1 requests=10000    # its memory

Clients on the loopback each ask as soon as they are answered. Settings: clients=16, each=1 (items of a request), k=5,
seconds=5 (of a turn), turns=5, requests=0 (that many more, after which the memory of the server is told).
Prints a Markdown table: medians over the turns of items per second, and of their ratio to the loop of the same turn.
"""

import asyncio
import base64
import json
import pathlib
import re
import subprocess
import sys
import time

import numpy as np
import psutil

import metric_learning
from metric_learning.command_line import start_script, words_of

SERVE = pathlib.Path(__file__).with_name("serve.py")


def main(arguments):
    settings = words_of(
        arguments,
        **{"run": None, "index": None, "items": None},
        **{"clients": 16, "each": 1, "k": 5, "seconds": 5.0, "turns": 5, "requests": 0},
    )
    if None in (settings.run, settings.index, settings["items"]):
        raise ValueError("expected run=FOLDER index=FOLDER items=FOLDER_OR_FILE")

    metric_learning.import_tensorflow()
    from metric_learning.data.named_items import items_in

    encoder = metric_learning.load(settings.run)
    index = metric_learning.Index.load(settings.index, encoder)
    items = items_in(settings["items"], encoder.kind)[0][:1000]
    if encoder.kind == "images":
        if any(isinstance(item, dict) for item in items):
            raise ValueError(f"a server is sent whole images; {settings['items']} has boxes in them")
        items = [pathlib.Path(item).read_bytes() for item in items]
    each = settings.each
    groups = [[items[(i + j) % len(items)] for j in range(each)] for i in range(0, len(items), each)]
    questions = [question(group, settings.k) for group in groups]
    at_once = [sum((groups[(i + j) % len(groups)] for j in range(settings.clients)), []) for i in range(len(groups))]

    def loop(groups):
        return each_second(
            lambda i: len(index.search(encoder.embed(groups[i % len(groups)]), settings.k)), settings.seconds
        )

    command = [sys.executable, str(SERVE), f"run={settings.run}", f"index={settings.index}", "port=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        port = int(re.search(r":(\d+)/", process.stdout.readline())[1])

        def served(seconds=settings.seconds, requests=None):
            return asyncio.run(ask(port, questions, settings.clients, seconds, requests))

        loop(groups[:1]), loop(at_once[:1]), served()
        turns = []
        for _ in range(settings.turns):
            bare, together, (waits, took) = loop(groups), loop(at_once), served()
            turns.append([bare, together, each * len(waits) / took, *np.quantile(waits, [0.5, 0.99])])
        report(np.array(turns), settings)
        if settings.requests:
            report_memory(lambda requests: served(None, requests), psutil.Process(process.pid), settings.requests)
    finally:
        process.terminate()
        process.wait()


def question(group, k):
    """A request as it goes over the wire."""
    items = [base64.b64encode(item).decode() if isinstance(item, bytes) else item for item in group]
    body = json.dumps(
        {"items": np.asarray(items).tolist() if isinstance(items[0], np.ndarray) else items, "k": k}
    ).encode()
    head = f"POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def each_second(work, seconds):
    """Items per second of a function of 0, 1, 2, ... that gives how many it has done."""
    started, done, i = time.perf_counter(), 0, 0
    while time.perf_counter() - started < seconds:
        done += work(i)
        i += 1
    return done / (time.perf_counter() - started)


async def ask(port, questions, clients, seconds, requests):
    """(seconds that each request took, seconds of all): until the time is over, or so many are answered."""
    waits = []
    started = time.perf_counter()

    async def client(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        i = number
        while time.perf_counter() - started < seconds if requests is None else len(waits) < requests:
            sent = time.perf_counter()
            writer.write(questions[i % len(questions)])
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
            if not head.startswith(b"HTTP/1.1 200"):
                raise ValueError(f"the server answers {body.decode()}")
            waits.append(time.perf_counter() - sent)
            i += clients
        writer.close()

    await asyncio.gather(*map(client, range(clients)))
    return waits, time.perf_counter() - started


def report(turns, settings):
    medians, to_bare = np.median(turns, axis=0), np.median(turns / turns[:, :1], axis=0)
    at_once = settings.clients * settings.each
    print(
        f"| {settings.each} items a request, {settings.clients} clients | items a second | of the loop |\n|---|---|---|"
    )
    print(f"| `embed` and `search` in a loop, {settings.each} at once | {medians[0]:.0f} | 1 |")
    print(f"| the same, {at_once} at once | {medians[1]:.0f} | {to_bare[1]:.2f} |")
    print(f"| served | {medians[2]:.0f} | {to_bare[2]:.2f} |")
    print(f"\nof the loop of {at_once} at once: {np.median(turns[:, 2] / turns[:, 1]):.2f}", end="; ")
    print(f"a request takes {1000 * medians[3]:.1f} ms, and of 100 the slowest {1000 * medians[4]:.1f} ms")


def report_memory(served, process, requests):
    print("\n| requests | memory of the server |\n|---|---|")
    print(f"| after the turns | {process.memory_info().rss / 2**20:.0f} MB |")
    for part in range(1, 6):
        served(requests // 5)
        print(f"| and {part * requests // 5} more | {process.memory_info().rss / 2**20:.0f} MB |")


if __name__ == "__main__":
    start_script(main, __doc__)
