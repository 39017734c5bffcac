"""Which rows are positives, negatives, or the anchor itself."""

import numpy as np
import pytest
import tensorflow as tf

from metric_learning.relations import relate, same_class_rows


def brute_force(labels, ref_labels, own):
    """Masks by comparing Python objects; own(a, j) says which reference is the anchor itself."""
    positive = [[labels[a] == ref and not own(a, j) for j, ref in enumerate(ref_labels)] for a in range(len(labels))]
    negative = [[labels[a] != ref and not own(a, j) for j, ref in enumerate(ref_labels)] for a in range(len(labels))]
    return positive, negative


def check(relations, labels, ref_labels, own):
    positive, negative = brute_force(labels, ref_labels, own)
    assert relations.positive_mask.dtype == relations.negative_mask.dtype == tf.bool
    assert relations.positive_mask.numpy().tolist() == positive
    assert relations.negative_mask.numpy().tolist() == negative


LABELS = {
    "small": [3, 1, 3, 2, 1, 3],
    "above 2^24": [2**24, 2**24 + 1, 2**24, 2**24 + 2, 2**24 + 1, 2**24],
    "above 2^53": [2**53, 2**53 + 1, 2**53, 2**53 + 2, 2**53 + 1, 2**53],
    "negative": [-1, 0, -1, 1, 0, -1],
    "strings": ["b", "a", "b", "", "a", "b"],
}
every_kind = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)


@every_kind
def test_an_anchors_own_position_is_neither_positive_nor_negative(labels):
    check(relate(labels), labels, labels, lambda a, j: a == j)


@every_kind
def test_labels_may_be_a_column(labels):
    check(relate(np.array(labels)[:, None]), labels, labels, lambda a, j: a == j)


@every_kind
def test_references_without_ids_are_all_others(labels):
    refs = [labels[3], labels[0], labels[1], labels[0]]
    check(relate(labels, refs), labels, refs, lambda a, j: False)


@pytest.mark.parametrize("id_of", [lambda i: 2**24 + i, lambda i: f"photo {i}"], ids=["integers", "strings"])
def test_an_anchors_id_is_itself_wherever_it_stands(id_of):
    labels, refs = [3, 1, 3, 2], [1, 3, 3, 3, 1]
    ids, ref_ids = [0, 1, 2, 3], [1, 2, 0, 2, 9]
    relations = relate(labels, refs, ids=[id_of(i) for i in ids], ref_ids=[id_of(i) for i in ref_ids])
    check(relations, labels, refs, lambda a, j: ids[a] == ref_ids[j])


def test_copies_of_an_item_in_a_batch_are_one_item():
    labels, ids = [0, 0, 0, 1], [7, 7, 8, 9]
    check(relate(labels, ids=ids), labels, labels, lambda a, j: ids[a] == ids[j])


@pytest.mark.parametrize("kinds", [(np.int32, np.int64), (np.int64, np.int32), (np.uint8, np.int64)])
def test_integers_of_two_types_are_compared_by_value(kinds):
    # Cast to the type of the anchors, 2^32 + 5 would be 5, and 256 + 5 too.
    labels, refs = np.array([5, 6], kinds[0]), np.array([5, 6, 6], kinds[1])
    if kinds[1] == np.int64:
        refs[1] += 2**32
        refs[2] += 256
    check(relate(labels, refs), labels.tolist(), refs.tolist(), lambda a, j: False)
    check(relate([0, 0], [0, 0, 0], ids=labels, ref_ids=refs), [0, 0], [0, 0, 0], lambda a, j: labels[a] == refs[j])


@pytest.mark.parametrize("dtype", [np.int64, np.float32, bool], ids=["integers", "floats", "booleans"])
def test_multi_hot_rows_are_alike_when_they_share_a_class(dtype):
    hot = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    sets = [set(np.flatnonzero(row)) for row in hot]
    relations = relate(hot.astype(dtype))
    for a in range(5):
        for j in range(5):
            assert relations.positive_mask[a, j] == bool(sets[a] & sets[j] and a != j)
            assert relations.negative_mask[a, j] == bool(not sets[a] & sets[j] and a != j)


def test_multi_hot_references_follow_the_same_rule():
    relations = relate([[1, 1, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 1]])
    assert relations.positive_mask.numpy().tolist() == [[True, True], [False, True]]
    assert relations.negative_mask.numpy().tolist() == [[False, False], [True, False]]


def test_works_in_a_graph_of_unknown_size():
    graph = tf.function(relate, input_signature=[tf.TensorSpec([None], tf.int64)])
    labels = LABELS["above 2^24"]
    check(graph(tf.constant(labels, tf.int64)), labels, labels, lambda a, j: a == j)


ERRORS = {
    "floats": (([1.0, 2.0],), {}, "labels must be integers or strings, .* got float32"),
    "float column": (([[1.0], [2.0]],), {}, "labels must be integers or strings"),
    "float references": (([1, 2], [1.0]), {}, "ref_labels must be integers or strings"),
    "a scalar": ((3,), {}, r"labels must be \[batch\], or \[batch, classes\] multi-hot"),
    "rank 3": ((np.zeros((2, 2, 2), int),), {}, r"labels must be .* got shape \(2, 2, 2\)"),
    "mixed kinds": (([1, 2], [[0, 1]]), {}, "labels and ref_labels must be of one kind"),
    "only ids": (([1, 2], [1]), {"ids": [1, 2]}, "ids and ref_ids must be given together"),
    "strings and integers": ((["a"], [1]), {}, "must be of one kind; got string"),
    "only ref_ids": (([1, 2], [1]), {"ref_ids": [1]}, "ids and ref_ids must be given together"),
}


@pytest.mark.parametrize(("arguments", "keywords", "message"), ERRORS.values(), ids=ERRORS)
def test_labels_that_cannot_name_classes_are_refused(arguments, keywords, message):
    with pytest.raises(ValueError, match=message):
        relate(*arguments, **keywords)


def test_same_class_is_found_from_negatives_alone():
    labels = np.array([2, 0, 2, 1, 0, 2, 3])
    same = np.equal.outer(labels, labels)
    negative_mask = relate(labels).negative_mask
    np.testing.assert_array_equal(same_class_rows(negative_mask), same)


def test_same_class_is_found_through_references():
    labels, refs = np.array([2, 0, 2, 1]), np.array([1, 0, 2, 0, 2])
    negative_mask = relate(labels, refs).negative_mask
    np.testing.assert_array_equal(same_class_rows(negative_mask), np.equal.outer(labels, labels))


def test_rows_of_several_classes_that_share_none_are_not_joined_by_a_third():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])
    expected = [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(same_class_rows(relate(labels).negative_mask), np.array(expected, bool))
    # From references alone it cannot be known, and so is said of all whom one joins.
    through = same_class_rows(relate(labels, labels[1:]).negative_mask)
    assert through.numpy().astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]]


def test_as_many_references_as_anchors_are_not_taken_for_the_anchors():
    negative_mask = tf.constant([[0, 0, 1], [0, 0, 0], [1, 1, 0]]) > 0  # of rows of several classes
    assert same_class_rows(negative_mask).numpy().astype(int).tolist() == [[1, 1, 0], [1, 1, 1], [0, 1, 1]]
