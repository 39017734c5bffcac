"""A label is the same thing everywhere: every form of it gives the same values, or one line that says why not."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning import encoders, losses
from metric_learning.data import BatchPlan
from metric_learning.evaluation import evaluate
from metric_learning.labels import as_labels, class_array, label_array, rarest_class
from metric_learning.training import Learner
from metric_learning.training.blocks import compile_block

pytestmark = pytest.mark.slow  # together they take a minute or so

CLASS_OF = np.repeat([1, 0, 3, 2], 3)[np.random.default_rng(1).permutation(12)]
WORDS = np.array(["bee", "ant", "deer", "stork"])[[1, 0, 2, 3]][CLASS_OF]  # in the order of the numbers
ROWS = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
HOT = np.eye(4, dtype=np.int64)[CLASS_OF]
INTEGERS = {
    kind: CLASS_OF.astype(kind) for kind in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")
} | {
    "uint64 above 2^63": CLASS_OF.astype(np.uint64) + np.uint64(2**64 - 9),
    "above 2^24": CLASS_OF + 2**24,
    "above 2^53": CLASS_OF + 2**53,
    "list": CLASS_OF.tolist(),
    "tuple": tuple(CLASS_OF.tolist()),
    "list of NumPy's": list(CLASS_OF),
    "objects": CLASS_OF.astype(object),
    "tensor": tf.constant(CLASS_OF),
    "int32 tensor": tf.constant(CLASS_OF, tf.int32),
    "column": CLASS_OF[:, None],
    "column of lists": CLASS_OF[:, None].tolist(),
    "column tensor": tf.constant(CLASS_OF[:, None]),
}
STRINGS = {
    "strings": WORDS,
    "list of strings": WORDS.tolist(),
    "list of NumPy's strings": list(WORDS),
    "objects of strings": WORDS.astype(object),
    "bytes": WORDS.astype(np.bytes_),
    "string tensor": tf.constant(WORDS),
    "column of strings": WORDS[:, None],
    "column of string objects": WORDS.astype(object)[:, None],
    "column of listed strings": WORDS[:, None].tolist(),
    "column string tensor": tf.constant(WORDS[:, None]),
}
ONE_CLASS = INTEGERS | STRINGS
# For places that compile each time.
FEW = ("uint8", "uint64 above 2^63", "list", "column", "strings", "list of strings", "column string tensor")
SEVERAL = {
    "multi-hot": HOT,
    "multi-hot lists": HOT.tolist(),
    "multi-hot booleans": HOT.astype(bool),
    "multi-hot float32": HOT.astype(np.float32),
    "multi-hot float64": HOT.astype(np.float64),
    "multi-hot tensor": tf.constant(HOT),
    "multi-hot boolean tensor": tf.constant(HOT.astype(bool)),
    "graded": 0.5 * HOT,
}
# By errors of Keras itself, before a loss sees them; docs/losses.md says what to do.
KERAS_REFUSES = {kind for kind in ONE_CLASS if "list" in kind or "tuple" in kind} | {
    "objects",
    "strings",
    "bytes",
    "column of strings",
    "column of string objects",
}


# Each place, as a function of labels that gives numbers to compare.


def by_loss(labels):
    return losses.Contrastive().call(labels, ROWS)


def by_graph(labels):
    return tf.function(lambda: losses.Contrastive().call(labels, ROWS))()


def by_references(labels):
    return losses.Contrastive().call(labels, ROWS, ref_labels=labels, ref_embeddings=ROWS[::-1])


@functools.cache
def learner_of(loss):
    """One that stays as it is, so that all forms of labels meet the same."""
    keras.utils.set_random_seed(0)
    learner = Learner(encoders.mlp((5,), hidden=(), embedding_dim=3), loss())
    learner.compile(keras.optimizers.SGD(0.0))
    return learner


@pytest.fixture(autouse=True)
def learners_of_this_test():
    """Keras forgets the rank of labels once a model was traced with two of them."""
    learner_of.cache_clear()
    keras_model.cache_clear()


@functools.cache
def keras_model(rank):
    keras.utils.set_random_seed(0)
    model = encoders.mlp((5,), hidden=(), embedding_dim=3)
    model.compile(keras.optimizers.SGD(0.0), losses.Contrastive())
    return model


def by_verb(verb, model, labels, **options):
    if verb in ("fit", "evaluate"):
        options |= {"verbose": 0, "batch_size": 12}
    if verb == "fit":
        options["shuffle"] = False
    found = getattr(model, verb)(ROWS, labels, **options)
    return np.ravel(list(found.history.values()) if verb == "fit" else found)


def by_learner(verb, labels, loss=losses.Contrastive):
    return by_verb(verb, learner_of(loss), labels)


def by_validation(labels):
    return by_verb("fit", learner_of(losses.Contrastive), labels, validation_data=(ROWS, labels))


def by_part_for_validation(labels):
    return by_verb("fit", learner_of(losses.Contrastive), labels, validation_split=0.5)


def by_keras(verb, labels):
    return by_verb(verb, keras_model(np.ndim(labels)), labels)


class Items:
    def __init__(self, labels):
        self.inputs, self.labels = ROWS, labels


def by_loop(labels, loss=losses.Contrastive):
    plan = BatchPlan(CLASS_OF, classes=3, samples=2)
    return np.concatenate(compile_block(learner_of(loss), Items(labels), plan)(plan.block(0, 4), 0))


COMPILING = (by_graph, by_loop)


def by_batches(labels):
    return BatchPlan(labels, classes=2, samples=2).block(0, 4)


def by_judge(labels):
    return list(evaluate(ROWS, labels, ks=(1, 2)).scores.values())


def by_judge_with_gallery(labels):
    return list(evaluate(ROWS, labels, gallery_embeddings=ROWS[::-1], gallery_labels=labels, ks=(1,)).scores.values())


PLACES = {function.__name__: function for function in (by_loss, by_graph, by_references, by_loop)} | {
    "Learner.fit with validation_data": by_validation,
    "Learner.fit with validation_split": by_part_for_validation,
}
for learner_verb in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
    PLACES[f"Learner.{learner_verb}"] = functools.partial(by_learner, learner_verb)
BY_KERAS = {verb: functools.partial(by_keras, verb) for verb in ("fit", "evaluate", "train_on_batch", "test_on_batch")}
JUDGED = {function.__name__: function for function in (by_judge, by_judge_with_gallery)}


@pytest.mark.parametrize("place", [*(PLACES | JUDGED).values(), by_batches], ids=[*PLACES, *JUDGED, "by_batches"])
def test_every_form_of_one_class_gives_the_same_values(place):
    expected = place(CLASS_OF)
    assert np.ptp(expected) > 0
    for kind in FEW if place in COMPILING else ONE_CLASS:
        np.testing.assert_allclose(place(ONE_CLASS[kind]), expected, rtol=1e-6, err_msg=kind)
    np.testing.assert_allclose(place(CLASS_OF > 1), place((CLASS_OF > 1).astype(int)), rtol=1e-6)
    np.testing.assert_allclose(place((CLASS_OF > 1).tolist()), place((CLASS_OF > 1).astype(int)), rtol=1e-6)


@pytest.mark.parametrize("place", (PLACES | JUDGED).values(), ids=PLACES | JUDGED)
def test_every_form_of_several_classes_gives_the_same_values(place):
    expected = place(CLASS_OF)  # of which each row has one
    learner_of.cache_clear()
    for kind in list(SEVERAL)[::4] if place in COMPILING else SEVERAL:
        if kind != "graded":
            np.testing.assert_allclose(place(SEVERAL[kind]), expected, rtol=1e-5, atol=1e-6, err_msg=kind)
    grades = np.random.default_rng(2).uniform(size=(12, 4)) * (np.random.default_rng(3).uniform(size=(12, 4)) > 0.5)
    values = [place(kind) for kind in (grades, grades.astype(np.float32), tf.constant(grades), grades.tolist())]
    for found in values[1:]:
        np.testing.assert_allclose(found, values[0], rtol=1e-5, atol=1e-6)
    assert np.abs(np.asarray(values[0]) - np.asarray(expected)).max() > 1e-3


@pytest.mark.parametrize("place", BY_KERAS.values(), ids=BY_KERAS)
def test_forms_that_keras_reads_give_the_same_values(place):
    expected = place(CLASS_OF)
    for kind, labels in ONE_CLASS.items():
        if kind not in KERAS_REFUSES:
            np.testing.assert_allclose(place(labels), expected, rtol=1e-6, err_msg=kind)
    for labels in (HOT, HOT.astype(np.float64), tf.constant(HOT.astype(bool))):
        np.testing.assert_allclose(place(labels), expected, rtol=1e-5)


CLASS_LOSSES = {
    "arc_face": functools.partial(losses.ArcFace, num_classes=4, embedding_dim=3),
    "cross entropy": functools.partial(losses.SparseCategoricalCrossentropy, num_classes=4, embedding_dim=3),
    "margin per class": functools.partial(losses.Margin, learned="per_class", num_classes=4),
}


@pytest.mark.parametrize("loss", CLASS_LOSSES.values(), ids=CLASS_LOSSES)
def test_losses_that_know_their_classes_take_every_form_of_numbers(loss):
    def alone(labels):
        keras.utils.set_random_seed(0)
        return loss().call(labels, ROWS[:, :3])

    fit = functools.partial(by_learner, "fit", loss=loss)
    for place in (alone, fit):
        expected = place(CLASS_OF)
        for kind, labels in INTEGERS.items():
            if "above" not in kind:
                np.testing.assert_allclose(place(labels), expected, rtol=1e-6, err_msg=kind)
        booleans = [place(labels) for labels in ((CLASS_OF > 1).astype(int), CLASS_OF > 1, (CLASS_OF > 1).tolist())]
        np.testing.assert_allclose(booleans[1:], booleans[:1] * 2, rtol=1e-6)
        learner_of.cache_clear()
        if loss is not CLASS_LOSSES["cross entropy"]:  # which is sparse
            for kind in set(SEVERAL) - {"graded"}:
                np.testing.assert_allclose(place(SEVERAL[kind]), expected, rtol=1e-5, atol=1e-6, err_msg=kind)
        learner_of.cache_clear()
        for labels in STRINGS.values():
            with pytest.raises(ValueError, match=r"labels must be integers from 0 to 3; got strings\. .*numpy\.unique"):
                place(labels)


def test_the_loop_numbers_the_classes_of_a_loss_that_knows_them():
    loop = functools.partial(by_loop, loss=CLASS_LOSSES["arc_face"])
    expected = loop(CLASS_OF)
    for kind in ("above 2^24", "list of strings", "multi-hot"):
        np.testing.assert_allclose(loop((ONE_CLASS | SEVERAL)[kind]), expected, rtol=1e-5, err_msg=kind)


REFUSED = {
    "floats": (CLASS_OF.astype(np.float32), "labels must be integers or strings, as floating numbers merge .*float32"),
    "listed floats": ([0.5] * 12, "labels must be integers or strings, as floating numbers merge .*float32"),
    "column of floats": (CLASS_OF[:, None] * 1.0, "labels must be integers or strings, as floating numbers .*float64"),
    "half floats": (
        tf.constant(CLASS_OF, tf.bfloat16),
        "labels must be integers or strings, as floating .*got b?float",
    ),
    "numbers beside strings": ([1, "bee"] * 6, "labels must be integers or strings throughout; got both"),
    "strings beside numbers": (["bee", 1] * 6, "labels must be integers or strings throughout; got both"),
    "missing": (["bee", None] * 6, "labels must be integers or strings; got NoneType and the like"),
    "missing numbers": (np.array([1, float("nan")] * 6, object), "labels must be integers or strings; got float"),
    "dates": (np.array(["2026-01-01"] * 12, "M8[D]"), "labels must be integers or strings, .*got datetime64"),
    "large integers": ([2**70] * 12, "labels must be integers of at most 64 bits; got larger ones"),
    "a number": (3, r"labels must be \[(batch|n)\], .*; got"),
    "images": (np.zeros((12, 2, 2), int), r"labels must be \[(batch|n)\], .*; got"),
    "lists of several lengths": ([[1], [1, 2]] * 6, "labels must be .*; got rows of different lengths"),
    "several strings a row": (np.array([["bee", "ant"]] * 12), r"labels .*must be (numbers|one a row)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_names_no_class_is_answered_in_one_line_everywhere(kind):
    labels, message = REFUSED[kind]
    for place in (as_labels, label_array, class_array, by_loss, PLACES["Learner.fit"], by_judge, by_batches):
        with pytest.raises(ValueError, match=f"^(gallery_)?{message}") as caught:
            place(labels)
        assert "\n" not in str(caught.value)


def test_several_classes_a_row_are_refused_where_one_is_needed():
    for labels in SEVERAL.values():
        with pytest.raises(
            ValueError, match=r"^labels must be one a row, \[12\]; got \[12, 4\]: rows of several classes"
        ):
            class_array(labels)


def test_batches_draw_an_item_of_several_classes_for_its_rarest():
    labels = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1], [1, 0, 0]])
    assert rarest_class(labels).tolist() == [1, 0, 1, 2, 2, 0]
    assert sorted(BatchPlan(labels, classes=3, samples=2).batch(0).tolist()) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="labels must have a class in every row; got none in row 2"):
        BatchPlan(labels * (np.arange(6) != 2)[:, None], classes=2, samples=2)


def test_strings_that_are_no_text_stay_different():
    names = [b"\xff.png".decode("utf-8", "surrogateescape"), b"\xfe.png".decode("utf-8", "surrogateescape"), "a\0", "a"]
    found = as_labels(names).numpy().tolist()
    assert found == [b"\xff.png", b"\xfe.png", b"a\0", b"a"]
    assert label_array(found).tolist() == label_array(tf.constant(found)).tolist() == names


def test_tensors_in_a_list_are_read_within_a_function():
    found = tf.function(lambda first, second: as_labels([first, second]))(tf.constant(3), tf.constant(4))
    assert found.numpy().tolist() == [3, 4]
