"""Triplets completed to quadruplets: each gets a second negative, of a class that is none of the triplet's."""

import tensorflow as tf

from metric_learning.relations import classes_of_rows, same_class_rows
from metric_learning.tuples import thresholds
from metric_learning.tuples.selections import Quadruplets, Triplets
from metric_learning.tuples.sorted_search import count_up_to, nearest_entries, of_selected, sort_rows
from metric_learning.tuples.walks import at, entries, largest_count, put, through_columns


def to_quadruplets(
    selection: Triplets | Quadruplets, distances: tf.Tensor, negative_mask: tf.Tensor, second_negative: str = "hard"
) -> Quadruplets:
    """Gives each triplet a second negative, of a class that is neither the anchor's nor the negative's.

    Args:
        selection: Triplets, or Quadruplets, which stay as they are.
        distances: [B, M]; `distances[second_negative, negative]` is the distance between two negatives.
        negative_mask: [B, M] boolean.
        second_negative: "hard", the nearest to the negative; or "semi_hard", the nearest that is farther from it than
            the positive is from the anchor, and where all are nearer, the farthest.

    Returns:
        Quadruplets.
    """
    if isinstance(selection, Quadruplets):
        return selection
    search = _nearest_rows if second_negative == "hard" else _nearest_farther_rows
    rows = search(selection, distances, negative_mask)
    weights = selection.weights * tf.cast(rows >= 0, tf.float32)
    return Quadruplets(selection.positive, selection.negative, tf.maximum(rows, 0), selection.weights, weights)


def _nearest_rows(triplets, distances, negative_mask):
    """Rows [B, S] nearest to each negative, of a third class; -1 where there is none."""
    classes, is_parted = classes_of_rows(negative_mask)
    return tf.cond(
        is_parted,
        lambda: _of_two_candidates(triplets, distances, negative_mask, classes),
        lambda: _by_loop(triplets, distances, negative_mask, tf.fill(tf.shape(triplets.weights), float("-inf"))),
    )


def _of_two_candidates(triplets, distances, negative_mask, classes):
    # For each column the nearest row of another class, and the nearest row of yet another class: one of the two is
    # outside the class of any anchor, so two candidates a column replace a search per triplet.
    same_class = classes[:, None] == classes[None, :]
    to_rows = tf.where(negative_mask, distances, float("inf"))
    first = tf.argmin(to_rows, axis=0, output_type=tf.int32)
    other_class = ~tf.transpose(tf.gather(same_class, first))
    second = tf.argmin(tf.where(other_class, to_rows, float("inf")), axis=0, output_type=tf.int32)

    first_row = tf.gather(first, triplets.negative)
    second_row = tf.gather(second, triplets.negative)
    rows = tf.where(at(same_class, first_row), second_row, first_row)
    # argmin of an empty column is row 0, so what was found is checked once more.
    return tf.where(entries(negative_mask, rows, triplets.negative) & ~at(same_class, rows), rows, -1)


def _nearest_farther_rows(triplets, distances, negative_mask):
    """The same with the nearest row beyond the distance of the positive, and where there is none, the farthest."""
    classes, is_parted = classes_of_rows(negative_mask)
    few = largest_count(triplets.weights > 0.0) <= thresholds.MOST_FOR_A_SECOND_NEGATIVE_LOOP
    return tf.cond(
        few | ~is_parted,
        lambda: _by_loop(triplets, distances, negative_mask, at(distances, triplets.positive)),
        lambda: _by_sorting(triplets, distances, negative_mask, classes),
    )


def _to_rows(distances, negative_mask):
    """[M, B]: the distances of each reference to the rows of other classes, infinite to those of its own."""
    return tf.transpose(tf.where(negative_mask, distances, float("inf")))


def _by_loop(triplets, distances, negative_mask, limits):
    """The nearest rows beyond limits [B, S], one triplet of every anchor at a time: a few passes over [B, B] each."""
    same_class = same_class_rows(negative_mask)
    to_rows = _to_rows(distances, negative_mask)

    def add(slot, found, rows):
        negative = at(triplets.negative, slot[:, None])[:, 0]
        between = tf.where(same_class, float("inf"), tf.gather(to_rows, negative))
        is_third = between < float("inf")
        farther = is_third & (between > at(limits, slot[:, None]))
        nearest = tf.argmin(tf.where(farther, between, float("inf")), axis=1, output_type=tf.int32)
        farthest = tf.argmax(tf.where(is_third, between, float("-inf")), axis=1, output_type=tf.int32)
        row = tf.where(tf.reduce_any(farther, axis=1), nearest, farthest)
        return (put(rows, slot, found, tf.where(tf.reduce_any(is_third, axis=1), row, -1)),)

    return through_columns(triplets.weights > 0.0, add, -tf.ones_like(triplets.negative))[0]


def _by_sorting(triplets, distances, negative_mask, classes):
    """The same for any number of triplets: the rows of each negative are sorted once, and searched for each triplet."""
    ranked, order = sort_rows(_to_rows(distances, negative_mask))
    is_other_class = ranked < float("inf")
    last = tf.reduce_sum(tf.cast(is_other_class, tf.int32), axis=1) - 1
    ranked_classes = tf.where(is_other_class, tf.gather(classes, order), -1)
    # Neighbors of one class are a run, over which an anchor of that class leaps, forwards or back from the end.
    begins = tf.cast(ranked_classes[:, 1:] != ranked_classes[:, :-1], tf.int32)
    runs = tf.cumsum(tf.pad(begins, [[0, 0], [1, 0]]), axis=1)
    columns = tf.range(tf.size(last))
    before_last_run = count_up_to(runs, columns, nearest_entries(runs, columns, last) - 1) - 1

    def find(anchors, slot):
        negative = entries(triplets.negative, anchors, slot)
        to_positive = entries(distances, anchors, entries(triplets.positive, anchors, slot))
        nearest = count_up_to(ranked, negative, to_positive)
        behind_run = count_up_to(runs, negative, nearest_entries(runs, negative, nearest))
        own_class = tf.gather(classes, anchors)
        nearest = tf.where(nearest_entries(ranked_classes, negative, nearest) == own_class, behind_run, nearest)
        farthest = tf.gather(last, negative)
        of_own_class = nearest_entries(ranked_classes, negative, farthest) == own_class
        farthest = tf.where(of_own_class, tf.gather(before_last_run, negative), farthest)
        # Behind the last one is no nearest, and before the first no farthest.
        place = tf.where(nearest <= tf.gather(last, negative), nearest, farthest)
        return tf.where(place >= 0, nearest_entries(order, negative, place), -1)

    return of_selected(triplets.weights > 0.0, find, -1)
