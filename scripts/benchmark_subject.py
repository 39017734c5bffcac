"""One subject of `scripts/benchmark.py`, in a process of its own: a loss of this project, or its counterpart.

    python scripts/benchmark_subject.py loss=triplet miner=none compiled=best
    python scripts/benchmark_subject.py loss=triplet miner=none side=peer

Reads requests from stdin and answers on stdout, a line of JSON each, such as {"do": "choose", "size": 512}.
"""

import json
import os
import pathlib
import resource
import sys
import time

import numpy as np

DIM = 128
CONF = pathlib.Path(__file__).resolve().parent.parent / "conf"
# Class numbers of a batch, sorted, as some counterparts need them so.
LAYOUTS = {
    "4 per class": lambda size: np.arange(size) // 4,
    "10 classes": lambda size: np.arange(size) * 10 // size,
}
TURN_SECONDS = 0.05

# pytorch-metric-learning's counterparts, with their own defaults. What has none is left out.
PEER_LOSSES = {
    "angular": "AngularLoss",
    "arc_face": "ArcFaceLoss",
    "circle": "CircleLoss",
    "contrastive": "ContrastiveLoss",
    "cos_face": "CosFaceLoss",
    "dynamic_soft_margin": "DynamicSoftMarginLoss",
    "fast_ap": "FastAPLoss",
    "generalized_lifted_structure": "GeneralizedLiftedStructureLoss",
    "histogram": "HistogramLoss",
    "instance": "InstanceLoss",
    "intra_pair_variance": "IntraPairVarianceLoss",
    "large_margin_softmax": "LargeMarginSoftmaxLoss",
    "lifted_structure": "LiftedStructureLoss",
    "manifold": "ManifoldLoss",
    "margin": "MarginLoss",
    "multi_similarity": "MultiSimilarityLoss",
    "n_pairs": "NPairsLoss",
    "nca": "NCALoss",
    "normalized_softmax": "NormalizedSoftmaxLoss",
    "nt_xent": "NTXentLoss",
    "p2s_grad": "P2SGradLoss",
    "pnp": "PNPLoss",
    "proxy_anchor": "ProxyAnchorLoss",
    "proxy_nca": "ProxyNCALoss",
    "ranked_list": "RankedListLoss",
    "smooth_ap": "SmoothAPLoss",
    "snr_contrastive": "SignalToNoiseRatioContrastiveLoss",
    "soft_triple": "SoftTripleLoss",
    "sphere_face": "SphereFaceLoss",
    "sub_center_arc_face": "SubCenterArcFaceLoss",
    "sup_con": "SupConLoss",
    "threshold_consistent_margin": "ThresholdConsistentMarginLoss",
    "triplet": "TripletMarginLoss",
    "tuplet_margin": "TupletMarginLoss",
    "vicreg": "VICRegLoss",
}
PEER_MINERS = {
    "angular": ("AngularMiner", {}),
    "batch_easy_hard": ("BatchEasyHardMiner", {}),
    "batch_hard": ("BatchHardMiner", {}),
    "distance_weighted": ("DistanceWeightedMiner", {}),
    "easy_positive": ("BatchEasyHardMiner", {}),
    "hard_pairs": ("HDCMiner", {}),
    "multi_similarity": ("MultiSimilarityMiner", {}),
    "pair_margin": ("PairMarginMiner", {}),
    "semi_hard": ("TripletMarginMiner", {"type_of_triplets": "semihard"}),
    "triplet_margin": ("TripletMarginMiner", {}),
    "uniform_histogram": ("UniformHistogramMiner", {}),
}
WITH_CLASS_VECTORS = set("ArcFace CosFace LargeMarginSoftmax NormalizedSoftmax ProxyAnchor ProxyNCA SoftTriple".split())
WITH_CLASS_VECTORS |= {"SphereFace", "SubCenterArcFace"}
# They have no defaults for these; those of RankedListLoss are its paper's.
NEEDED = {"RankedListLoss": {"margin": 0.4, "Tn": 10}, "ManifoldLoss": {"l": DIM}}


def main(loss, miner, side="ours", compiled="best"):
    answers, sys.stdout = sys.stdout, sys.stderr  # nobody else writes into the answers
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    resource.setrlimit(resource.RLIMIT_DATA, (int(0.7 * memory), resource.RLIM_INFINITY))
    subject = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if subject is None:
                subject = Peer(loss, miner) if side == "peer" else Ours(loss, miner, compiled)
            answer = getattr(subject, request.pop("do"))(**request)
        except Exception as error:
            # TensorFlow puts where it happened first, and what happened last.
            said = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
            said = said[-1] if said[0] == "in user code:" else said[0]
            answer = {"error": f"{type(error).__name__}: {said[:150]}"}
        print(json.dumps(answer), file=answers, flush=True)


def batch(size, layout):
    """Labels, and unit rows that lie around the middles of their classes."""
    labels, random = LAYOUTS[layout](size), np.random.default_rng(0)
    rows = random.normal(size=(size, DIM)) + random.normal(size=(size, DIM))[labels]
    return labels.astype(np.int32), (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def milliseconds(run, seconds=TURN_SECONDS):
    """Of one call, the mean over as many as fit into the turn."""
    start, calls, passed = time.perf_counter(), 0, 0.0
    while passed < seconds:
        run()
        calls, passed = calls + 1, time.perf_counter() - start
    return 1e3 * passed / calls


class Ours:
    def __init__(self, loss, miner, compiled):
        import hydra

        import metric_learning

        metric_learning.import_tensorflow()
        from metric_learning.steps import at_step

        self.scope = at_step(0)  # where scheduled settings stand, as long as this lives
        self.scope.__enter__()
        overrides = [f"loss={loss}", f"miner={miner}", f"encoder.embedding_dim={DIM}"]
        overrides += ["miner.size=4"] if miner == "packed" else []  # which parts all sizes
        if miner == "pair_margin":  # the peer's 0.2 and 0.8, as cosine distances
            overrides += ["miner.positive_margin=0.02", "miner.negative_margin=0.32"]
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            cfg = hydra.compose("config", overrides).loss
        self.make = lambda: hydra.utils.instantiate(cfg, _convert_="all")
        self.compiled = compiled
        self.loaded = {}

    def describe(self):
        from metric_learning.losses import class_loss, distance_loss

        loss = self.make()
        bases = {"class vectors": class_loss.ClassLoss, "tuples": distance_loss.TupleLoss}
        bases["distances"] = distance_loss.DistanceLoss
        return {"family": next((name for name, base in bases.items() if isinstance(loss, base)), "embeddings")}

    def step(self, size, jit_compile):
        """A compiled forward and backward pass; what learns has as many classes as the batch of 4 per class."""
        import tensorflow as tf

        loss = self.make()
        loss.build(max(size // 4, 10), DIM, [f"class {index}" for index in range(max(size // 4, 10))])

        @tf.function(jit_compile=jit_compile)
        def step(labels, rows):
            with tf.GradientTape() as tape:
                tape.watch(rows)
                value = loss(labels, rows)
            learned = [variable.value for layer in loss.layers for variable in layer.trainable_variables]
            return value, [part for part in tape.gradient(value, [rows, *learned]) if part is not None]

        return step

    def floor(self, jit_compile):
        """The same of the sum of squares of x x^T: less than that no loss of all pairs can do."""
        import tensorflow as tf

        @tf.function(jit_compile=jit_compile)
        def floor(rows):
            with tf.GradientTape() as tape:
                tape.watch(rows)
                value = tf.reduce_sum(tf.square(tf.matmul(rows, rows, transpose_b=True)))
            return value, tape.gradient(value, rows)

        return floor

    def choose(self, size, layout):
        """The better of graph and XLA, unless told."""
        if self.compiled != "best":
            return {"compiled": self.compiled}
        spent = {}
        for compiled in ("graph", "xla"):
            try:
                spent[compiled] = self._first_and_later(self.step(size, compiled == "xla"), *batch(size, layout))
            except Exception as error:  # what XLA cannot compile runs as a graph
                if compiled == "graph":
                    raise
                print(f"xla: {error}", file=sys.stderr)
        return {"compiled": min(spent, key=spent.get)}

    @staticmethod
    def _first_and_later(step, labels, rows):
        import tensorflow as tf

        labels, rows = tf.constant(labels), tf.constant(rows)
        step(labels, rows)[0].numpy()
        return milliseconds(lambda: step(labels, rows)[0].numpy())

    def measure_memory(self, size, layout, of_floor=False):
        """The peak of a step (or of the floor) beyond its inputs, in size x size float32 matrices.

        To be asked first, as TensorFlow keeps what it has had. What it sets aside and what compiling needs count too,
        so it is rather too much than too little.
        """
        import tensorflow as tf

        labels, rows = (tf.constant(part) for part in batch(size, layout))
        jit_compile = self.compiled == "xla"
        step, floor = self.step(size, jit_compile), self.floor(jit_compile)
        before = _status("VmRSS")
        for _ in range(2):
            (floor(rows) if of_floor else step(labels, rows))[0].numpy()
        return {"matrices": (_status("VmHWM") - before) / (4 * size**2)}

    def measure_turn(self, size, layout):
        """Milliseconds of the floor and of the loss, one after the other, and traces after the first."""
        import tensorflow as tf

        jit_compile = self.compiled == "xla"
        if "floor" not in self.loaded:
            self.loaded["floor"] = self.floor(jit_compile)
        floor = self.loaded["floor"]
        if size not in self.loaded:
            self.loaded[size] = self.step(size, jit_compile)
        step = self.loaded[size]
        if (size, layout) not in self.loaded:
            self.loaded[size, layout] = [tf.constant(part) for part in batch(size, layout)]
            for _ in range(2):
                floor(self.loaded[size, layout][1])[0].numpy()
                step(*self.loaded[size, layout])[0].numpy()
        labels, rows = self.loaded[size, layout]
        return {
            "floor_ms": milliseconds(lambda: floor(rows)[0].numpy()),
            "ms": milliseconds(lambda: step(labels, rows)[0].numpy()),
            "retraces": step.experimental_get_tracing_count() - 1,
        }


def _status(name):
    """Bytes of this process; VmHWM is the largest VmRSS it ever had."""
    for line in pathlib.Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {name}")


class Peer:
    def __init__(self, loss, miner):
        import torch
        from pytorch_metric_learning import losses, miners

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.losses, self.name = losses, PEER_LOSSES[loss]
        self.miner = None
        if miner != "none":
            kind, arguments = PEER_MINERS[miner]
            self.miner = getattr(miners, kind)(**arguments)
        self.loaded = {}

    def describe(self):
        return {"name": self.name if self.miner is None else f"{self.name} + {type(self.miner).__name__}"}

    def measure_turn(self, size, layout):
        """Milliseconds of a forward and backward pass."""
        import torch

        if (size, layout) not in self.loaded:
            labels, rows = (torch.tensor(part) for part in batch(size, layout))
            num_classes = max(size // 4, 10)
            arguments = NEEDED.get(self.name, {})
            if self.name.removesuffix("Loss") in WITH_CLASS_VECTORS:
                arguments = {"num_classes": num_classes, "embedding_size": DIM}
            if self.name == "P2SGradLoss":
                arguments = {"num_classes": num_classes, "descriptors_dim": DIM}
            self.loaded[size, layout] = getattr(self.losses, self.name)(**arguments), labels.long(), rows
            self._step(size, layout)
        return {"ms": milliseconds(lambda: self._step(size, layout))}

    def _step(self, size, layout):
        loss, labels, rows = self.loaded[size, layout]
        rows = rows.detach().requires_grad_()
        if self.name == "VICRegLoss":  # two views: the first and the second half
            value = loss(rows[::2], ref_emb=rows[1::2])
        elif self.name == "ManifoldLoss":
            value = loss(rows)
        else:
            value = loss(rows, labels, None if self.miner is None else self.miner(rows, labels))
        value.backward()


if __name__ == "__main__":
    main(**dict(argument.split("=") for argument in sys.argv[1:]))
