"""The losses of TensorFlow Addons against their definitions in loops, in float64."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import addons


def distance_of(x, y, metric):
    square = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    dot = sum(a * b for a, b in zip(x, y, strict=True))
    lengths = math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))
    return {"squared-L2": square, "L2": math.sqrt(square), "angular": 1 - dot / lengths}[metric]


def matrix(rows, metric):
    size = range(len(rows))
    return [[0.0 if i == j else distance_of(rows[i], rows[j], metric) for j in size] for i in size]


def semi_hard(labels, rows, margin=1.0, distance_metric="L2"):
    d = matrix(rows, distance_metric)
    size = range(len(labels))
    pairs = [(a, p) for a in size for p in size if a != p and labels[a] == labels[p]]
    values = np.zeros(len(labels))
    for a, p in pairs:
        negatives = [d[a][n] for n in size if labels[n] != labels[a]]
        farther = [x for x in negatives if x > d[a][p]]
        to_negative = min(farther) if farther else max(negatives) if negatives else min(d[a])
        values[a] += max(d[a][p] - to_negative + margin, 0.0) * len(labels) / len(pairs)
    return values


def hard(labels, rows, margin=1.0, soft=False, distance_metric="L2"):
    d = matrix(rows, distance_metric)
    size = range(len(labels))
    values = np.zeros(len(labels))
    for a in size:
        positives = [d[a][p] for p in size if a != p and labels[a] == labels[p]]
        negatives = [d[a][n] for n in size if labels[n] != labels[a]]
        gap = (max(positives) if positives else min(d[a])) - (min(negatives) if negatives else max(d[a]))
        values[a] = math.log(1 + math.exp(gap)) if soft else max(gap + margin, 0.0)
    return values


def lifted(labels, rows, margin=1.0):
    d = matrix(rows, "L2")
    size = range(len(labels))
    pairs = [(i, j) for i in size for j in size if i != j and labels[i] == labels[j]]
    values = np.zeros(len(labels))
    for i, j in pairs:
        push = sum(math.exp(margin - d[k][n]) for k in (i, j) for n in size if labels[n] != labels[i])
        cost = max(math.log(push) + d[i][j], 0.0) if push else 0.0
        values[i] += 0.5 * cost**2 * len(labels) / len(pairs)
    return values


def n_pairs(shared, similarities):
    values = np.zeros(len(shared))
    for i, row in enumerate(shared):
        for j, count in enumerate(row):
            log_sum = math.log(sum(math.exp(x) for x in similarities[i]))
            values[i] += count / sum(row) * (log_sum - similarities[i][j]) if count else 0.0
    return values


OF_EMBEDDINGS = {
    "semi-hard": (addons.TripletSemiHardLoss, semi_hard, {}),
    "semi-hard squared": (addons.TripletSemiHardLoss, semi_hard, {"margin": 0.3, "distance_metric": "squared-L2"}),
    "semi-hard angular": (addons.TripletSemiHardLoss, semi_hard, {"margin": 0.2, "distance_metric": "angular"}),
    "hard": (addons.TripletHardLoss, hard, {"margin": 0.4}),
    "hard squared": (addons.TripletHardLoss, hard, {"margin": 0.4, "distance_metric": "squared-L2"}),
    "hard soft": (addons.TripletHardLoss, hard, {"soft": True, "margin": 9.0}),
    "hard soft angular": (addons.TripletHardLoss, hard, {"soft": True, "distance_metric": "angular"}),
    "lifted": (addons.LiftedStructLoss, lifted, {}),
    "lifted, small margin": (addons.LiftedStructLoss, lifted, {"margin": -2.0}),
}
of_embeddings = pytest.mark.parametrize(("kind", "oracle", "arguments"), OF_EMBEDDINGS.values(), ids=OF_EMBEDDINGS)


@of_embeddings
def test_values_and_gradients_equal_loops(batch, agrees, kind, oracle, arguments):
    labels, rows = batch
    agrees(kind(**arguments), lambda rows: oracle(labels, rows, **arguments), labels, rows)


def test_there_are_pairs_without_farther_negatives_and_costs_of_0(batch):
    labels, rows = batch[0], batch[1]
    d = np.array(matrix(rows, "L2"))
    same = np.equal.outer(labels, labels) & ~np.eye(10, dtype=bool)
    farthest = np.where(np.equal.outer(labels, labels), 0.0, d).max(axis=1)
    assert 0 < (d[same] >= np.broadcast_to(farthest[:, None], d.shape)[same]).sum() < same.sum()
    for kind, oracle, arguments in OF_EMBEDDINGS.values():
        if kind is not addons.LiftedStructLoss and not arguments.get("soft"):
            values = oracle(labels, rows, **arguments)
            assert kind is addons.TripletSemiHardLoss or 0 < (values == 0).sum() < 10
    assert 1 < (lifted(labels, rows, margin=-2.0) == 0).sum() < 10  # one of them alone with its label


def test_a_row_is_at_distance_0_from_itself_even_a_zero_row():
    # No positives: the smallest distance of the row, its own, stands for them. 0 - 1 + 1.
    hard = addons.TripletHardLoss(distance_metric="angular", reduction=None)
    np.testing.assert_array_equal(hard([0, 1], [[0.0, 0.0], [1.0, 0.0]]), [0.0, 0.0])


@of_embeddings
def test_duplicates_and_a_single_class_cost_what_addons_says(batch_with_duplicates, kind, oracle, arguments):
    labels, rows = batch_with_duplicates
    single = rows.astype(np.float32)
    np.testing.assert_allclose(kind(**arguments).call(labels, single), oracle(labels, rows, **arguments), atol=1e-5)
    for few in ([3] * 4, [0, 1, 2, 3], [3]):
        values = kind(**arguments).call(few, single[: len(few)])
        # Addons is NaN without a positive pair.
        pairs = len(few) > len(set(few)) or kind is addons.TripletHardLoss
        expected = oracle(few, rows[: len(few)], **arguments) if pairs else np.zeros(len(few))
        np.testing.assert_allclose(values, expected, atol=1e-5)


def test_golden_numbers_by_hand():
    rows = [[0.0], [1.0], [3.0], [1.5]]
    labels = [0, 0, 1, 1]
    # (0, 1): d_ap 1, negatives 3, 1.5. (1, 0): 1; 2, .5. (2, 3): 1.5; 3, 2. (3, 2): 1.5; 1.5, .5: none is farther.
    expected = np.array([1 - 1.5 + 1, 1 - 2 + 1, 1.5 - 2 + 1, 1.5 - 1.5 + 1])
    np.testing.assert_allclose(addons.TripletSemiHardLoss().call(labels, rows), expected, atol=1e-6)
    expected = np.array([1 - 1.5 + 1, 1 - 0.5 + 1, 1.5 - 2 + 1, 1.5 - 0.5 + 1])
    np.testing.assert_allclose(addons.TripletHardLoss().call(labels, rows), expected, atol=1e-6)


def test_a_function_measures_as_well():
    def block(rows):
        return tf.reduce_sum(tf.abs(rows[:, None] - rows[None, :]), axis=-1)

    loss = addons.TripletHardLoss(0.5, distance_metric=block)
    assert loss.distance is None
    # Distances 3 within the class, 7 and 6 to the other.
    np.testing.assert_allclose(loss([0, 0, 1], [[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]), 0.0)
    np.testing.assert_allclose(loss([0, 1, 1], [[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]), (0 + 4 - 3 + 0.5 + 0) / 3)


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_contrastive_is_of_given_distances(shape):
    same, distances = np.array([1, 0, 1, 0, 0, 1]), np.array([0.3, 0.4, 1.7, 1.5, 0.0, 0.0])
    expected = [0.09, 0.81, 2.89, 0.0, 1.69, 0.0]
    loss = addons.ContrastiveLoss(1.3)
    np.testing.assert_allclose(loss.call(same, distances.reshape(shape)), expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(loss(same.reshape(shape), distances), np.mean(expected), rtol=1e-5)


def test_n_pairs_equals_loops_with_its_gradient(agrees):
    labels = np.array([4, 2, 4, 2**24, 2**24 + 1])
    similarities = np.random.default_rng(1).normal(size=(5, 5))
    shared = [[float(x == y) for y in labels] for x in labels]
    agrees(addons.NpairsLoss(), lambda rows: n_pairs(shared, rows), labels, similarities)


def test_n_pairs_of_several_labels_equals_loops_with_its_gradient(agrees):
    labels = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1]])
    similarities = np.random.default_rng(1).normal(size=(5, 5))
    shared = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in labels] for x in labels]
    loss = addons.NpairsMultilabelLoss()
    agrees(loss, lambda rows: n_pairs(shared, rows), labels, similarities)
    assert loss.call(labels, similarities)[2] == 0.0
    sparse = tf.sparse.from_dense(labels)
    np.testing.assert_array_equal(loss.call(sparse, similarities), loss.call(labels, similarities))


ALL = {
    "semi-hard": (addons.TripletSemiHardLoss(0.5, "angular"), {"margin": 0.5, "distance_metric": "angular"}),
    "hard": (addons.TripletHardLoss(0.5, True), {"margin": 0.5, "soft": True, "distance_metric": "L2"}),
    "lifted": (addons.LiftedStructLoss(0.5), {"margin": 0.5}),
    "contrastive": (addons.ContrastiveLoss(0.5), {"margin": 0.5, "name": "contrastive_loss"}),
    "n-pairs": (addons.NpairsLoss(), {"name": "npairs_loss"}),
    "multilabel": (addons.NpairsMultilabelLoss(), {"name": "npairs_multilabel_loss"}),
}


def test_all_of_addons_are_here_and_rebuilt_with_their_arguments():
    classes = {name for name in dir(addons) if name.endswith("Loss") and name[0] != "_"} - {"EmbeddingLoss"}
    assert classes == {type(loss).__name__ for loss, _ in ALL.values()}
    for loss, arguments in ALL.values():
        saved = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
        rebuilt = keras.saving.deserialize_keras_object(saved)
        assert rebuilt.get_config() == loss.get_config()
        assert arguments.items() <= loss.get_config().items()
        assert keras.saving.get_registered_name(type(loss)) == f"Addons>{type(loss).__name__}"


@of_embeddings
def test_reductions_and_sample_weights_are_those_of_keras(batch, kind, oracle, arguments):
    values, weights = oracle(*batch, **arguments), np.linspace(0.0, 3.0, 10)
    np.testing.assert_allclose(kind(**arguments)(*batch, weights), np.mean(values * weights), rtol=1e-5)
    np.testing.assert_allclose(kind(reduction="sum", **arguments)(*batch), np.sum(values), rtol=1e-5)


@of_embeddings
@pytest.mark.parametrize("size", [0.0, 1.0, 1e4], ids=["zero", "equal", "long"])
def test_value_and_gradient_stay_finite(kind, oracle, arguments, size):
    for rows in (np.full((4, 3), size), size * np.eye(4, 3)):
        for labels in ([0, 0, 1, 1], [0, 1, 2, 3], [0, 0, 0, 0]):
            variable = tf.Variable(rows, dtype=tf.float32)
            with tf.GradientTape() as tape:
                value = kind(**arguments)(labels, variable)
            assert np.isfinite(value) and np.isfinite(tf.convert_to_tensor(tape.gradient(value, variable))).all()


def test_the_soft_margin_does_not_overflow():
    assert addons.TripletHardLoss(soft=True)([0, 0, 1], [[0.0], [1e4], [1.0]]) > 1e3


@of_embeddings
def test_a_broken_encoder_is_not_hidden(kind, oracle, arguments):
    assert np.isnan(kind(**arguments)([0, 0, 1, 1], np.full((4, 3), np.nan)))


@pytest.mark.slow
@of_embeddings
def test_graphs_and_xla_cost_the_same(batch, kind, oracle, arguments):
    labels, rows = batch[0], batch[1].astype(np.float32)
    loss = kind(**arguments)
    expected = oracle(labels, batch[1], **arguments).mean()
    graph = tf.function(loss, input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 3], tf.float32)])
    np.testing.assert_allclose(graph(labels, rows), expected, rtol=1e-5)
    np.testing.assert_allclose(tf.function(loss, jit_compile=True)(labels, rows), expected, rtol=1e-5)


@of_embeddings
def test_memory_is_that_of_a_few_distance_matrices(kind, oracle, arguments):
    def step(labels, rows):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            value = kind(**arguments)(labels, rows)
        return tape.gradient(value, rows)

    signature = [tf.TensorSpec([256], tf.int64), tf.TensorSpec([256, 8], tf.float32)]
    for operation in tf.function(step, input_signature=signature).get_concrete_function().graph.get_operations():
        for tensor in operation.outputs:
            assert tensor.shape.num_elements() is None or tensor.shape.num_elements() <= 4 * 256 * 256, tensor


def test_a_keras_model_learns_with_it_as_with_addons(batch):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(4), keras.layers.UnitNormalization()])
    model.compile(loss=addons.TripletSemiHardLoss(), optimizer=keras.optimizers.SGD(0.1))
    rows = batch.embeddings.astype(np.float32)
    history = model.fit(rows, batch.labels, batch_size=10, epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.9 * history[0]


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="distance_metric must be one of L2, squared-L2, angular; got 'L3'"):
        addons.TripletHardLoss(distance_metric="L3")
    with pytest.raises(ValueError, match="labels must be integers or strings"):
        addons.TripletSemiHardLoss()([0.0, 0.0], [[0.0], [1.0]])
