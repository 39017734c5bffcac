"""Balanced batches of P classes x K samples, each a pure function of the seed and the step.

There is no iterator whose position could be lost: a resumed run, or any worker of many, asks for the batch of a step
and gets the one that every other would get.
"""

import dataclasses
import functools
import warnings

import numpy as np

from metric_learning.labels import rarest_class

# Names of the random streams, so that no two draws share a seed.
_CLASS_ORDER, _SAMPLE_ORDER, _SECOND_VISIT = range(3)


@dataclasses.dataclass(frozen=True, eq=False)
class BatchPlan:
    """Which items make up the batch of each step.

    An epoch visits every class once, in an order of its own; a class hands out its samples in an order of its own too,
    all of them before it repeats one. Where the numbers do not divide, the last batch of the epoch is topped up with
    classes of the same epoch, and the last visit of a class with its own first samples, so that no batch holds a class
    twice, nor a sample twice unless its class is smaller than K.

    Args:
        labels: [n] or [n, 1] integers, booleans or strings, the class of each item; or [n, C] of several, where an item
            is drawn for the rarest of its classes, and comes along with the others.
        classes: P, at least 2, classes in a batch.
        samples: K, at least 2, samples of each class. Classes of fewer repeat them, with one warning.
        seed: any integer from 0.

    Raises:
        ValueError: P or K below 2, or P larger than the number of classes; a row without class.
    """

    labels: np.ndarray
    classes: int = 32
    samples: int = 4
    seed: int = 0

    def __post_init__(self):
        for name in ("classes", "samples"):
            value = getattr(self, name)
            if value < 2:
                raise ValueError(f"batch.{name} must be at least 2, for a batch to hold both sides; got {value}")
        if self.classes > len(self._items):
            raise ValueError(
                f"batch.classes must be at most the {len(self._items)} training classes there are; got {self.classes}"
            )
        small = sum(len(items) < self.samples for items in self._items)
        # Classes of one item each are items without labels, whose repeats are augmented views: that is meant.
        if small and len(self._items) < len(self.labels):
            warnings.warn(
                f"{small} of {len(self._items)} training classes have fewer than batch.samples={self.samples} items; "
                "these repeat them within a batch",
                stacklevel=3,
            )

    @functools.cached_property
    def _items(self):
        """The items of each class, classes in ascending order of their label."""
        labels = rarest_class(self.labels)
        order = np.argsort(labels, kind="stable")
        _, starts = np.unique(labels[order], return_index=True)
        return np.split(order, starts[1:])

    @property
    def batch_size(self) -> int:
        """P x K."""
        return self.classes * self.samples

    @property
    def steps_per_epoch(self) -> int:
        """Steps that visit every class once."""
        return -(-len(self._items) // self.classes)

    def batch(self, step: int) -> np.ndarray:
        """The items of a step: int64 [P * K], indices into `labels`, the samples of a class side by side."""
        epoch, position = divmod(step, self.steps_per_epoch)
        visits = position * self.classes + np.arange(self.classes)
        order = self._order(_CLASS_ORDER, epoch, 0, len(self._items))
        chosen = order[visits % len(self._items)]
        second = visits >= len(self._items)
        return np.concatenate([self._visit(*visit, epoch) for visit in zip(chosen, second, strict=True)])

    def block(self, first_step: int, num_steps: int) -> np.ndarray:
        """The batches of consecutive steps: int64 [num_steps, P * K]."""
        return np.stack([self.batch(step) for step in range(first_step, first_step + num_steps)])

    def _visit(self, class_index, second, epoch):
        """K samples of a class. A second visit in an epoch, a top-up, draws apart and so disturbs no order."""
        items = self._items[class_index]
        visits_per_round = -(-len(items) // self.samples)
        samples_round, position = divmod(epoch, visits_per_round)
        stream = _SECOND_VISIT if second else _SAMPLE_ORDER
        order = self._order(stream, samples_round, int(class_index), len(items))
        return items[order[(position * self.samples + np.arange(self.samples)) % len(items)]]

    @functools.cached_property
    def _order(self):
        # Kept for as long as the plan: the order of a large class serves hundreds of visits.
        @functools.lru_cache(maxsize=4096)
        def order(stream, round_or_epoch, class_index, size):
            return np.random.default_rng([self.seed, stream, round_or_epoch, class_index]).permutation(size)

        return order
