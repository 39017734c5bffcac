"""Times every loss, forward and backward, against the least that any loss of all pairs costs, and against its peer.

    python scripts/benchmark.py                                    # all of them, about an hour on two cores
    python scripts/benchmark.py only=triplet,circle sizes=128,512  # some; miners are named like losses
    pip install -c constraints.txt -e ".[peer]"                    # pytorch-metric-learning, to be measured too

Settings: only, sizes=128,512,1024,4096 (rows of a batch), turns=5, seconds=90 (for one answer of a subject, half of it
for a peer's), step_seconds=5 (sizes at which a step would take longer are left out), peer=true, folder=docs.

The floor is the sum of squares of x x^T, [B, D] with D = 128, forward and backward, compiled as the loss is; every
turn measures it again right before the loss. Each loss runs in a process of its own, with all pairs or tuples, and
each miner with triplets. Written are benchmark.csv and benchmark.png; ratios are medians over the turns.
"""

import csv
import importlib.util
import json
import math
import pathlib
import selectors
import statistics
import subprocess
import sys
import time

from metric_learning.command_line import start_script, words_of

HERE = pathlib.Path(__file__).resolve().parent
CONF = HERE.parent / "conf"
LAYOUTS = ("4 per class", "10 classes")
PEER_SIZE = 512
# These sort, or go through the positives of an anchor one by one, which costs more than masks do.
SORTING_LOSSES = {
    *("adaptive_triplet", "angular", "dynamic_soft_margin", "hybrid", "matryoshka", "quadruplet", "triplet"),
    *("fast_ap", "histogram", "pnp", "ranked_list", "recall_at_k", "smooth_ap"),
}
SORTING_MINERS = {
    *("batch_easy_hard", "distance_weighted", "easy_positive", "hard_negatives", "hard_pairs", "quadruplet_margin"),
    *("random", "schedule", "semi_hard", "triplet_margin", "uniform_histogram"),
    *("angular", "multi_similarity", "pair_margin"),  # of their pairs, triplets are made, as of all pairs
}
# Neither masks nor sorts, but the inverse of a matrix of all rows, for which there is no bar.
INVERTING_LOSSES = {"manifold"}
# With all tuples it takes a pass over [B, B] for every positive pair, which is for small batches only.
USUAL_MINERS = {"quadruplet": "semi_hard"}
# Bars: times the floor at a size and layout, matrices of B x B, traces after the first, and speed against the peer.
MASK_BARS = {(size, layout): 3.0 for size in (1024, 4096) for layout in LAYOUTS}
SORT_BARS = {(1024, "4 per class"): 12.0, (1024, "10 classes"): 25.0}
BARS = {"mask": MASK_BARS, "sort": SORT_BARS, "inverse": {}}
MEMORY_BAR, RETRACE_BAR, PEER_BAR, PEER_MEAN_BAR = 16.0, 0, 1.0, 5.0
COLUMNS = (
    "subject family kind compiled layout size floor_ms ratio bar retraces matrices peer speed_up note".split()
)  # fmt: skip


def main(arguments):
    words = {"only": "", "sizes": "128,512,1024,4096", "turns": 5, "seconds": 90.0, "step_seconds": 5.0, "peer": True}
    settings = words_of(arguments, **words, folder="docs")
    wrong = [size for size in settings.sizes.split(",") if not size.isdigit()]
    if wrong:
        raise ValueError(f"sizes must be numbers of rows, as 128,512; got {wrong[0]!r}")
    started = time.perf_counter()
    sizes, wanted = sorted(map(int, settings.sizes.split(","))), subjects(settings.only)
    with_peer = settings.peer and importlib.util.find_spec("pytorch_metric_learning") is not None
    folder = pathlib.Path(settings.folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [floor_row(max(sizes), settings.seconds)]
    for loss, miner in wanted:
        rows += measure(loss, miner, sizes, settings.turns, settings.seconds, settings.step_seconds, with_peer)
        for row in rows[-len(sizes) * len(LAYOUTS) :]:
            progress(row)
        with open(folder / "benchmark.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    subprocess.run([sys.executable, HERE / "plot_benchmark.py", f"folder={folder}"], check=True)
    print(summary(rows))
    print(f"{folder / 'benchmark.csv'}, {folder / 'benchmark.png'}: {(time.perf_counter() - started) / 60:.0f} minutes")


def subjects(only):
    """(loss, miner) of every loss with all its tuples, then of triplets with every miner."""
    losses, miners = (sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in ("loss", "miner"))
    found = [(loss, USUAL_MINERS.get(loss, "none")) for loss in losses]
    found += [("triplet", miner) for miner in miners if miner != "none"]
    wanted = set(filter(None, only.split(",")))
    unknown = wanted - {*losses, *miners}
    if unknown:
        raise ValueError(f"no loss or miner is named {', '.join(sorted(unknown))}")
    return [pair for pair in found if not wanted or pair[is_about_the_miner(*pair)] in wanted]


def is_about_the_miner(loss, miner):
    return loss == "triplet" and miner != "none"


def kind_of(loss, miner):
    if is_about_the_miner(loss, miner):
        return "sort" if miner in SORTING_MINERS else "mask"
    if loss in INVERTING_LOSSES:
        return "inverse"
    return "sort" if loss in SORTING_LOSSES else "mask"


def measure(loss, miner, sizes, turns, seconds, step_seconds, with_peer):
    """The rows of one subject, whatever happens to it."""
    of_miner = is_about_the_miner(loss, miner)
    kind = kind_of(loss, miner)
    cells = [(layout, size) for layout in LAYOUTS for size in sizes]
    rows = {
        cell: {
            "subject": f"{loss} + {miner}" if of_miner else loss,
            "kind": kind,
            "layout": cell[0],
            "size": cell[1],
            "bar": BARS[kind].get(cell[::-1], ""),
        }
        for cell in cells
    }
    ours = Worker(seconds, loss=loss, miner=miner)
    peer = Worker(seconds / 2, loss=loss, miner=miner, side="peer") if with_peer and PEER_SIZE in sizes else None
    try:
        family = "miners" if of_miner else ours.ask(do="describe")["family"]
        compiled = {layout: ours.ask(do="choose", size=min(1024, max(sizes)), layout=layout) for layout in LAYOUTS}
        for cell, row in rows.items():
            row |= {"family": family} | compiled[cell[0]]
        name, peer = ask_name(peer)
        for layout in LAYOUTS:
            # A new process, as TensorFlow keeps the memory that it has had.
            ours = ours.again(**compiled[layout])
            try:
                memory = ours.ask(do="measure_memory", size=max(sizes), layout=layout)
                rows[layout, max(sizes)]["matrices"] = memory["matrices"]
            except RuntimeError as error:
                rows[layout, max(sizes)]["note"] = f"memory: {error}"
                ours = ours.again()
            known = []  # (size, milliseconds)
            for size in sizes:
                row = rows[layout, size]
                if (expected := predict(known, size)) > 1e3 * step_seconds:
                    row["note"] = "left out, as the size before failed"
                    if expected < math.inf:
                        row["note"] = f"left out, a step would take about {expected / 1e3:.0f} s"
                    continue
                beside = peer if size == PEER_SIZE else None
                try:
                    row |= take_turns(ours, beside, size, layout, turns)
                    known.append((size, row["ratio"] * row["floor_ms"]))
                    row["peer"] = name if beside else ""
                except RuntimeError as error:
                    row["note"] = str(error)
                    ours = ours.again()
                    known.append((size, math.inf))
                if beside and beside.stopped:  # the other layout would take even longer
                    peer = None
    except RuntimeError as error:
        for row in rows.values():
            row.setdefault("note", str(error))
    finally:
        for worker in (ours, peer):
            if worker is not None:
                worker.stop()
    return list(rows.values())


def ask_name(peer):
    """The peer's name and the peer; None where it has no such loss."""
    try:
        return (None, None) if peer is None else (peer.ask(do="describe")["name"], peer)
    except RuntimeError:
        peer.stop()
        return None, None


def take_turns(ours, peer, size, layout, turns):
    """Medians over the turns; one turn is enough of what takes seconds."""
    taken, peers, note = [], [], {}
    for _ in range(turns):
        taken.append(ours.ask(do="measure_turn", size=size, layout=layout))
        if peer is not None:
            try:
                peers.append(peer.ask(do="measure_turn", size=size, layout=layout)["ms"] / taken[-1]["ms"])
            except RuntimeError as error:
                note, peer = {"note": f"peer: {error}"}, None
        if taken[-1]["ms"] + taken[-1]["floor_ms"] > 2e3:
            break
    return note | {
        "floor_ms": statistics.median(turn["floor_ms"] for turn in taken),
        "ratio": statistics.median(turn["ms"] / turn["floor_ms"] for turn in taken),
        "retraces": max(turn["retraces"] for turn in taken),
        "speed_up": statistics.median(peers) if peers else "",
    }


def predict(known, size):
    """Milliseconds of a step, from the sizes before: growing as it did, and at least as B x B."""
    if not known:
        return 0.0
    growth = 2.0
    if len(known) > 1 and known[-1][1] < math.inf:
        (a, before), (b, after) = known[-2:]
        growth = max(growth, math.log(after / before) / math.log(b / a))
    return known[-1][1] * (size / known[-1][0]) ** growth


class Worker:
    """A process of `benchmark_subject.py`, which is asked, and stopped when it takes too long."""

    def __init__(self, seconds, **options):
        self.seconds, self.options, self.stopped = seconds, options, False
        command = [sys.executable, HERE / "benchmark_subject.py", *(f"{key}={value}" for key, value in options.items())]
        pipe = subprocess.PIPE
        options = {"stdin": pipe, "stdout": pipe, "stderr": subprocess.DEVNULL, "encoding": "utf-8"}
        self.process = subprocess.Popen(command, **options)
        self.reply = selectors.DefaultSelector()
        self.reply.register(self.process.stdout, selectors.EVENT_READ)

    def ask(self, **request):
        """The answer; RuntimeError for an error, no answer in time, or no process any more."""
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.stop()
            raise RuntimeError("the process died, probably out of memory") from None
        if not self.reply.select(self.seconds):
            self.stop()
            raise RuntimeError(f"no answer within {self.seconds:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            self.stop()
            raise RuntimeError("the process died, probably out of memory")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def again(self, **options):
        """A new process of the same subject."""
        self.stop()
        return Worker(self.seconds, **(self.options | options))

    def stop(self):
        self.stopped = True
        self.process.kill()
        self.process.communicate()


def floor_row(size, seconds):
    """Memory of the floor itself, for comparison."""
    worker = Worker(seconds, loss="triplet", miner="none", compiled="graph")
    try:
        matrices = worker.ask(do="measure_memory", size=size, layout=LAYOUTS[0], of_floor=True)["matrices"]
        return {"subject": "floor", "family": "floor", "kind": "floor", "layout": "", "size": size} | {
            "ratio": 1.0,
            "matrices": matrices,
        }
    finally:
        worker.stop()


def progress(row):
    said = f"{row['subject']:<32} {row['layout']} {row['size']:>5}"
    if "ratio" in row:
        said += f" {row['ratio']:8.2f} x floor"
    if row.get("speed_up"):
        said += f" {row['speed_up']:8.1f} x as fast as {row['peer']}"
    if row.get("matrices"):
        said += f" {row['matrices']:6.1f} matrices"
    print(said, row.get("note", ""), file=sys.stderr, flush=True)


def summary(rows):
    """What misses its bar, and the comparison with the peer."""
    missed = []
    for row in rows:
        where = f"{row['subject']}, {row['layout']}, {row['size']}"
        if row.get("bar") and row.get("ratio", math.inf) > row["bar"]:
            said = f"{row['ratio']:.1f} x the floor" if "ratio" in row else row.get("note", "not measured")
            missed.append(f"{where}: {said}, at most {row['bar']:.0f}")
        if (row.get("matrices") or 0) > MEMORY_BAR:
            missed.append(f"{where}: {row['matrices']:.1f} matrices of memory, at most {MEMORY_BAR:.0f}")
        if (row.get("retraces") or 0) > RETRACE_BAR:
            missed.append(f"{where}: {row['retraces']} retraces, none allowed")
        if (row.get("speed_up") or math.inf) < PEER_BAR:
            missed.append(f"{where}: {row['speed_up']:.2f} times as fast as {row['peer']}, at least {PEER_BAR:.0f}")
    faster = [row["speed_up"] for row in rows if row.get("speed_up")]
    lines = [f"{len(missed)} bars missed{':' if missed else ''}", *(f"  {line}" for line in missed)]
    if faster:
        mean = statistics.geometric_mean(faster)
        lines.append(f"against the peer: {min(faster):.2f} to {max(faster):.0f} times as fast,")
        lines.append(f"  geometric mean {mean:.1f} of {len(faster)} (at least {PEER_MEAN_BAR:.0f})")
    return "\n".join(lines)


if __name__ == "__main__":
    start_script(main, __doc__)
