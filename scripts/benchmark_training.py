"""Training speed side by side with PyTorch and pytorch-metric-learning, in turns, as the machine's speed swings.

    pip install -c constraints.txt -e ".[peer]"       # optional; without it only this project is measured
    python scripts/benchmark_training.py [turns=4] [steps=100]

Batches of 32 x 4 emoji, batch-hard triplets, Adam, no augmentation. Measured are whole steps: batch, forward, backward,
update. Each turn is a process of its own; the first steps, which compile, are not counted.
"""

import importlib.util
import statistics
import subprocess
import sys
import time

import numpy as np

from metric_learning.command_line import start_script, words_of

SIDES = {
    "peer": "pytorch-metric-learning, conv-norm-ReLU-pool 32-64-128",
    "same": "this project, the same CNN",
    "default": "this project, its default CNN (pool before norm)",
}
WARM_UP = 20


def main(arguments):
    settings = words_of(arguments, turns=4, steps=100, side=None)
    steps = settings.steps
    if settings.side is not None:  # a turn
        print(measure_peer(steps) if settings.side == "peer" else measure_ours(settings.side == "default", steps))
        return
    sides = list(SIDES)
    if importlib.util.find_spec("pytorch_metric_learning") is None:
        sides.remove("peer")
    speeds = {side: [] for side in sides}
    for turn in range(settings.turns):
        for side in sides:
            command = [sys.executable, __file__, f"side={side}", f"steps={steps}"]
            printed = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
            speeds[side].append(float(printed.split()[-1]))
            print(f"turn {turn + 1}: {SIDES[side]}: {speeds[side][-1]:,.0f} images/s", flush=True)
    print(f"\nmedian images/s, and ratio to the first of the same turn (median); first: {SIDES[sides[0]]}")
    for side in sides:
        ratio = statistics.median(a / b for a, b in zip(speeds[side], speeds[sides[0]], strict=True))
        print(f"  {SIDES[side]:<58} {statistics.median(speeds[side]):>7,.0f}  {ratio:.2f}")


def measure_ours(pool_first, steps):
    import metric_learning

    metric_learning.import_tensorflow()
    import keras

    import miners
    from metric_learning import encoders, losses
    from metric_learning.training import Learner
    from metric_learning.training.blocks import compile_block

    source = metric_learning.data.emoji()
    encoder = encoders.cnn(source.input_shape, pool_first=pool_first)
    learner = Learner(encoder, losses.Triplet(distance="cosine", miner=miners.BatchHard()))
    learner.compile(keras.optimizers.Adam(1e-3))
    plan = metric_learning.data.BatchPlan(source.train.labels, classes=32, samples=4)
    block = compile_block(learner, source.train, plan)
    block(plan.block(0, WARM_UP), 0)
    start = time.perf_counter()
    block(plan.block(WARM_UP, steps), WARM_UP)
    return steps * plan.batch_size / (time.perf_counter() - start)


def measure_peer(steps):
    import torch
    from pytorch_metric_learning import losses, miners, samplers

    import metric_learning

    source = metric_learning.data.emoji()
    images = torch.tensor(source.train.inputs.transpose(0, 3, 1, 2))
    labels = torch.tensor(source.train.labels)
    layers, channels = [], 3
    for width in (32, 64, 128):
        layers += [
            torch.nn.Conv2d(channels, width, 3, padding=1, bias=False),
            torch.nn.BatchNorm2d(width),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
        ]
        channels = width
    encoder = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(2048, 128))
    loss_function, miner = losses.TripletMarginLoss(margin=0.2), miners.BatchHardMiner()
    optimizer = torch.optim.Adam(encoder.parameters(), 1e-3)
    sampler = samplers.MPerClassSampler(source.train.labels, m=4, batch_size=128, length_before_new_iter=128 * 10_000)
    batches = iter(np.fromiter(sampler, dtype=np.int64, count=128 * (WARM_UP + steps)).reshape(-1, 128))
    encoder.train()

    def step():
        rows = next(batches)
        embeddings = encoder(1.0 - images[rows].float() / 255.0)
        loss = loss_function(embeddings, labels[rows], miner(embeddings, labels[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(WARM_UP):
        step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return steps * 128 / (time.perf_counter() - start)


if __name__ == "__main__":
    start_script(main, __doc__)
