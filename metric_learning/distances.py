"""The pairwise distances that loss, miner, evaluation and search share.

Every distance grows with difference. All of them come from one matrix product, so memory is [B, M] and never [B, M, D],
and all have a finite gradient where two rows are equal or a row is zero. Equal rows are at exactly 0 (of `dot` and of
the cosine of zero rows, which have no direction, that is not the definition), though a product rounds.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import tensorflow as tf

from metric_learning.equal_rows import put_where_equal
from metric_learning.types import TensorLike

_SHARED: contextvars.ContextVar[dict[tuple, tf.Tensor] | None] = contextvars.ContextVar("shared", default=None)


@tf.autograph.experimental.do_not_convert  # which fails on generators
@contextlib.contextmanager
def shared_distances() -> Iterator[None]:
    """Inside, `pairwise` makes each matrix once, for all that compare the same tensors by the same distance."""
    token = _SHARED.set({})
    try:
        yield
    finally:
        _SHARED.reset(token)


def normalize(embeddings: TensorLike) -> tf.Tensor:
    """Rows of unit length. A zero row stays zero and passes no gradient, where `x / |x|` would give NaN.

    Args:
        embeddings: [B, D], any floating dtype; computed in float32.

    Returns:
        [B, D] float32.
    """
    return _normalize(tf.cast(embeddings, tf.float32))


@tf.custom_gradient
def _normalize(rows):
    # Divided by the largest entry first, so that squares of rows as long as 1e30 or as short as 1e-30 stay in range.
    largest = tf.reduce_max(tf.abs(rows), axis=-1, keepdims=True)
    is_zero = tf.equal(largest, 0.0)
    largest = tf.where(is_zero, 1.0, largest)
    scaled = rows / largest
    squares = tf.reduce_sum(tf.square(scaled), axis=-1, keepdims=True)
    inverse = tf.where(is_zero, 0.0, _inverse_roots(tf.where(is_zero, 1.0, squares)))
    unit = scaled * inverse

    def grad(upstream):  # by hand: half the operations, which is what small batches spend their time on
        along = tf.reduce_sum(unit * upstream, axis=-1, keepdims=True)
        return (upstream - unit * along) * (inverse / largest)

    return unit, grad


def _inverse_roots(squares):
    """1 / sqrt of [..., 1], the same for equal numbers wherever they stand.

    On CPUs the last few numbers of a tensor, which fill no vector register, are computed by another formula that rounds
    otherwise. Written 16 times side by side, as many as the widest register holds, there are no such numbers.
    """
    return tf.math.rsqrt(tf.repeat(squares, 16, axis=-1))[..., :1]


@tf.custom_gradient
def clip(values: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Values of the closed range from low to high that rounding has carried out of it, with the gradient of within."""
    return tf.clip_by_value(values, low, high), lambda upstream: (upstream, None, None)


def cosine(embeddings: tf.Tensor, ref_embeddings: tf.Tensor) -> tf.Tensor:
    """1 - cos(x, y), in [0, 2]; a zero row is at distance 1 from everything."""
    unit = normalize(embeddings)
    ref_unit = unit if ref_embeddings is embeddings else normalize(ref_embeddings)
    # Minus the rows, which are fewer than the cosines.
    products = tf.matmul(-unit, ref_unit, transpose_b=True)
    own = -tf.round(tf.reduce_sum(tf.square(unit), axis=-1))  # -1, or 0 of a zero row
    products = put_where_equal(own, own[:, None], products, unit, ref_unit)
    return clip(1.0 + products, 0.0, 2.0)


def squared_euclidean(embeddings: tf.Tensor, ref_embeddings: tf.Tensor) -> tf.Tensor:
    """|x - y|^2, at least 0; absolute error about 1e-7 times the squared norms, as the product form cancels."""
    squares = tf.reduce_sum(tf.square(embeddings), axis=-1)
    ref_squares = tf.reduce_sum(tf.square(ref_embeddings), axis=-1)
    products = tf.matmul(-2.0 * embeddings, ref_embeddings, transpose_b=True)
    sums = squares[:, None] + ref_squares[None, :]
    products = put_where_equal(-2.0 * squares, -sums, products, embeddings, ref_embeddings)
    return tf.nn.relu(sums + products)


def euclidean(embeddings: tf.Tensor, ref_embeddings: tf.Tensor) -> tf.Tensor:
    """|x - y|, with gradient 0 where x = y (a subgradient; the formula's own is 0/0)."""
    return _safe_root(squared_euclidean(embeddings, ref_embeddings))


def _safe_root(squared):
    """Square roots, with gradient 0 at 0."""
    is_zero = tf.equal(squared, 0.0)  # not squared > 0, which would make 0 of NaN
    return tf.where(is_zero, 0.0, tf.sqrt(tf.where(is_zero, 1.0, squared)))


def dot(embeddings: tf.Tensor, ref_embeddings: tf.Tensor) -> tf.Tensor:
    """-x.y, unbounded: more alike is more negative."""
    return -tf.matmul(embeddings, ref_embeddings, transpose_b=True)


def snr(embeddings: tf.Tensor, ref_embeddings: tf.Tensor) -> tf.Tensor:
    """var(x - y) / var(x) over the dimensions, the anchor x being the signal; not symmetric.

    An anchor of equal entries has no variance, so its distances count as 0 and pass no gradient.

    Reference: Yuan et al., "Signal-to-Noise Ratio: A Robust Distance Metric for Deep Metric Learning", CVPR 2019,
    eq. 3.
    """
    centered = _center(embeddings)
    ref_centered = centered if ref_embeddings is embeddings else _center(ref_embeddings)
    signal = tf.reduce_sum(tf.square(centered), axis=-1, keepdims=True)
    noise = squared_euclidean(centered, ref_centered)
    return _over_signal(noise, signal)


def _center(rows):
    return rows - tf.reduce_mean(rows, axis=-1, keepdims=True)


def _over_signal(noise, signal):
    is_flat = tf.equal(signal, 0.0)  # not signal > 0, which would make 0 of NaN
    return tf.where(is_flat, 0.0, noise / tf.where(is_flat, 1.0, signal))


DISTANCES = {
    "cosine": cosine,
    "euclidean": euclidean,
    "squared_euclidean": squared_euclidean,
    "dot": dot,
    "snr": snr,
}


# Those of which 0 is the least, that of equal rows: what "within 0.2" means for them means nothing for the others.
FROM_ZERO = tuple(name for name in DISTANCES if name != "dot")


def check_distance(distance: str) -> None:
    """Raises ValueError unless `distance` is the name of one."""
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(DISTANCES)}; got {distance!r}")


def check_same_distance(distance: str, **parts: str | None) -> None:
    """Raises ValueError naming the first of the parts that measures by another distance; None is any."""
    for name, other in parts.items():
        if other not in (None, distance):
            raise ValueError(f"{name} measures by {other} and the run by {distance}; set distance={other} for all")


def check_from_zero(distance: str, what: str) -> None:
    """Raises ValueError where `what` has thresholds of at least 0, and the distances fall below it.

    Args:
        distance: a key of `DISTANCES`.
        what: whose thresholds they are, for the message.
    """
    if distance not in FROM_ZERO:
        raise ValueError(
            f"distance must be one of {', '.join(FROM_ZERO)} for {what}, whose thresholds are at least 0, which is how "
            f"far equal rows are apart; got {distance!r}"
        )


def check_similarity(distance: str, advice: str, **thresholds: float) -> None:
    """Raises ValueError naming the first threshold that no similarity of this distance can reach.

    Args:
        distance: a key of `DISTANCES`.
        advice: the end of the message, what to write for a threshold of -1: for unit rows that is a cosine of 1/2,
            whichever of these distances it is.
        **thresholds: similarities as `to_similarities` makes them.
    """
    for name, threshold in thresholds.items():
        if distance not in ("cosine", "dot") and not threshold < 0.0:
            raise ValueError(
                f"{name} must be below 0 with distance={distance}, whose similarity is minus the distance; "
                f"got {threshold:g}; a cosine of 0.5 between unit rows is {advice}"
            )


def pairwise(
    embeddings: TensorLike, ref_embeddings: TensorLike | None = None, *, distance: str = "cosine"
) -> tf.Tensor:
    """Distances from every anchor to every reference row.

    Args:
        embeddings: [B, D], the anchors, any floating dtype.
        ref_embeddings: [M, D] rows to compare with; the anchors themselves when None.
        distance: a key of `DISTANCES`.

    Returns:
        [B, M] float32, whatever the precision policy: the differences of near rows drown in half precision.
    """
    check_distance(distance)
    embeddings = tf.cast(embeddings, tf.float32)
    ref_embeddings = embeddings if ref_embeddings is None else tf.cast(ref_embeddings, tf.float32)
    shared = _SHARED.get()
    if shared is None:
        return DISTANCES[distance](embeddings, ref_embeddings)
    # The graph too: a matrix made in the body of a loop is no use outside.
    key = (embeddings.ref(), ref_embeddings.ref(), distance, tf.compat.v1.get_default_graph())
    if key not in shared:
        shared[key] = DISTANCES[distance](embeddings, ref_embeddings)
    return shared[key]


def rowwise(first: TensorLike, second: TensorLike, *, distance: str = "cosine") -> tf.Tensor:
    """Distances of each row to the row of the same place: what the diagonal of `pairwise` holds, without the rest.

    From differences instead of products, so that near rows do not cancel.

    Args:
        first: [..., D], the anchors, any floating dtype.
        second: [..., D] of the same shape.
        distance: a key of `DISTANCES`.

    Returns:
        [...] float32.

    Raises:
        ValueError: an unknown distance, other shapes than each other's.
    """
    check_distance(distance)
    first, second = tf.cast(first, tf.float32), tf.cast(second, tf.float32)
    if not first.shape.is_compatible_with(second.shape):
        raise ValueError(f"rows must come in equal shapes; got {first.shape} and {second.shape}")
    if distance == "cosine":
        unit, second_unit = normalize(first), normalize(second)
        distances = clip(1.0 - tf.reduce_sum(unit * second_unit, axis=-1), 0.0, 2.0)
        equal = tf.reduce_all(tf.equal(unit, second_unit), axis=-1) & tf.reduce_any(unit != 0.0, axis=-1)
        return tf.where(equal, tf.stop_gradient(distances) * 0.0, distances)
    if distance == "dot":
        return -tf.reduce_sum(first * second, axis=-1)
    differences = first - second
    if distance == "snr":
        return _over_signal(*(tf.math.reduce_variance(rows, axis=-1) for rows in (differences, first)))
    squared = tf.reduce_sum(tf.square(differences), axis=-1)
    return _safe_root(squared) if distance == "euclidean" else squared


def to_similarities(distances: tf.Tensor, distance: str) -> tf.Tensor:
    """The same comparisons as similarities, which grow with likeness: cos(x, y), x.y, or minus the distance.

    Args:
        distances: [B, M] of `pairwise`.
        distance: the name they were made by.
    """
    return 1.0 - distances if distance == "cosine" else -distances
