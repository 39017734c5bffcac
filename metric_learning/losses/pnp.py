"""PNP: penalize the negatives before each positive."""

from typing import Any

import keras
import tensorflow as tf

from metric_learning.checks import check_choice, check_positive
from metric_learning.losses.distance_loss import DistanceLoss
from metric_learning.losses.soft_ranks import mean_over_positives, soft_counts

VARIANTS = ("Ds", "Dq", "Iu", "Ib", "O")


@keras.saving.register_keras_serializable(package="metric_learning")
class PNP(DistanceLoss):
    """Counts, softly, the negatives nearer than each positive, and penalizes this count.

    For each positive p of an anchor, n = sum_j sigmoid((d_ap - d_aj) / temperature) over the negatives j. The loss is
    the mean over the anchors that have positives of the mean over their positives of

        n                                variant O, the plain count
        (1 + n) log(1 + n)               variant Iu: the slope grows with n without bound
        (b n - log(1 + b n)) / b^2       variant Ib: the slope grows with n up to 1/b
        log(1 + n)                       variant Ds: the slope falls as n grows
        1 - 1 / (1 + n)^alpha            variant Dq: the slope falls faster

    The I variants care most for positives far behind, the D variants, which the paper finds better, for those almost
    in front: a class whose positives lie in several clusters is not torn out of them.

    Differs from the paper: nothing with distance "cosine". The authors' code counts the anchor as its own positive,
    which only lowers the mean; here it is none.

    Args:
        variant: one of Ds, Dq, Iu, Ib, O.
        alpha: at least 1 in the paper, above 0 here, of Dq; 4 in the authors' best run.
        b: above 0, of Ib; 2 in the authors' code.
        temperature: above 0, in units of the distance; 0.01 in the authors' code.
        distance: see `metric_learning.distances`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`, 0 for an anchor without positives. Memory is O(B x M) and time O(B x M x largest class).

    Raises:
        ValueError: unknown variant or distance, a number not above 0.

    Example:
        >>> pnp = PNP(variant="Dq", alpha=1.0, temperature=0.001, distance="euclidean")
        >>> round(float(pnp([0, 0, 1], [[0.0], [2.0], [1.0]])), 4)  # one negative before each: 1 - 1/2
        0.5

    Reference: Li, Min, Song, Zhou, Wang, "Rethinking the Optimization of Average Precision: Only Penalizing Negative
    Instances before Positive Ones is Enough", AAAI 2022, eq. 5 to 13, https://arxiv.org/abs/2102.04640
    """

    def __init__(
        self,
        *,
        variant: str = "Dq",
        alpha: float = 8.0,
        b: float = 2.0,
        temperature: float = 0.01,
        distance: str = "cosine",
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        check_choice(VARIANTS, variant=variant)
        check_positive(alpha=alpha, b=b, temperature=temperature)
        super().__init__(distance=distance, reduction=reduction, name=name)
        self.variant = variant
        self.alpha = alpha
        self.b = b
        self.temperature = temperature

    def per_anchor(self, distances: tf.Tensor, positive_mask: tf.Tensor, negative_mask: tf.Tensor) -> tf.Tensor:
        (before,), exists = soft_counts(distances, positive_mask, [negative_mask], self.temperature)
        return mean_over_positives(self._penalty(before), exists)

    def _penalty(self, before):
        if self.variant == "O":
            return before
        if self.variant == "Iu":
            return (1.0 + before) * tf.math.log1p(before)
        if self.variant == "Ib":
            return (self.b * before - tf.math.log1p(self.b * before)) / self.b**2
        if self.variant == "Ds":
            return tf.math.log1p(before)
        return -tf.math.expm1(-self.alpha * tf.math.log1p(before))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "variant": self.variant,
            "alpha": self.alpha,
            "b": self.b,
            "temperature": self.temperature,
        }
