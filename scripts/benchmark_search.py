"""Times the exact search and the evaluation beside bare `faiss.knn` of the same k, in turns, in one process.

    python scripts/benchmark_search.py                                # all problems, five turns each
    python scripts/benchmark_search.py "problems=[classes_of_5]" turns=3
    python scripts/benchmark_search.py "problems=[million]"           # takes minutes, and 4 GB

Prints a Markdown table: the median time of `faiss.knn`; how much more memory the process took at its peak than when
the vectors were there, at most, as making them has a peak of its own; and of each engine the median of its time over
that of `faiss.knn` in the same turn.
"""

import pathlib
import resource
import time

import numpy as np

from metric_learning.command_line import start_script, words_of

# Name: gallery rows, dimensions, rows of a class, ks, queries (None: all rows, leave-one-out).
PROBLEMS = {
    "classes_of_5": (60_500, 128, 5, (1,), None),
    "deep_ks": (60_500, 128, 5, (1, 10, 100, 1000), None),
    "classes_of_1000": (10_000, 64, 1000, (1,), None),
    "million": (1_000_000, 128, 5, (100,), 10_000),
}
USUAL, ENGINES = ["classes_of_5", "deep_ks", "classes_of_1000"], ["faiss", "tensorflow"]


def main(arguments):
    options = words_of(arguments, problems=USUAL, turns=5, engines=ENGINES)
    for name, choices in (("problems", PROBLEMS), ("engines", ENGINES)):
        unknown = [each for each in options[name] if each not in choices]
        if unknown:
            raise ValueError(f"{name} must be of {', '.join(choices)}; got {', '.join(unknown)}")

    import faiss

    import metric_learning

    metric_learning.import_tensorflow()
    from metric_learning.evaluation import evaluate, search

    print("| problem | k | faiss.knn | memory |", " | ".join(f"{engine} engine" for engine in options.engines), "|")
    print("|---" * (4 + len(options.engines)) + "|")
    for name in options.problems:
        size, dim, per_class, ks, num_queries = PROBLEMS[name]
        rows, labels = clusters(size, dim, per_class)
        before = held()
        k = max(*ks, per_class - 1, 1)
        queries = rows[:num_queries]

        def bare(queries=queries, rows=rows, k=k):
            faiss.knn(queries, rows, k)

        def ours(engine, queries=queries, rows=rows, labels=labels, ks=ks, k=k, num_queries=num_queries):
            if num_queries is None:
                metrics = ["recall@k", "map@r"]
                evaluate(rows, labels, ks=ks, metrics=metrics, distance="squared_euclidean", keep=1, engine=engine)
            else:
                search(queries, rows, k, distance="squared_euclidean", engine=engine)

        times = [
            [timed(bare), *(timed(lambda engine=engine: ours(engine)) for engine in options.engines)]
            for _ in range(options.turns)
        ]
        alone = np.median([turn[0] for turn in times])
        ratios = np.median([np.array(turn[1:]) / turn[0] for turn in times], axis=0)
        memory = f"{(peak() - before) / 2**30:.1f} GB"
        print(f"| {name} | {k} | {alone:.2f} s | {memory} |", " | ".join(f"{ratio:.2f} x" for ratio in ratios), "|")


def clusters(size, dim, per_class):
    """Unit rows around the centers of their classes, in a random order."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(size) // per_class)
    rows = rng.standard_normal((labels.max() + 1, dim), np.float32)[labels]
    rows += rng.standard_normal((size, dim), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, labels


def timed(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def held():
    """Bytes that the process holds now."""
    return resource.getpagesize() * int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[1])


def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    start_script(main, __doc__)
