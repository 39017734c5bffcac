"""Losses on given tuples against loops over the rows, in float64; and in Keras as others use it."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning import losses
from metric_learning.losses import Contrastive, Cosine, Packed, Quadruplet, SoftNearestNeighbor, Triplet
from metric_learning.losses.embedding_loss import EmbeddingLoss
from metric_learning.losses.packed import of_pairs, of_tuples

D = 3


def distance_of(x, y, name):
    square = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    dot = sum(a * b for a, b in zip(x, y, strict=True))
    lengths = math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))
    return {"squared_euclidean": square, "euclidean": math.sqrt(square), "cosine": 1 - dot / lengths, "dot": -dot}[name]


def averaged(costs, average):
    """Costs of the rows as the loss reports them: alone, or so that their mean is that over the active ones."""
    active = sum(cost > 0 for cost in costs)
    return np.array(costs) * (len(costs) / active if average == "active" and active else 1.0)


def triplets(columns, margin=0.2, distance="squared_euclidean", soft=False, scale=1.0, swap=False, average="selected"):
    costs = []
    for row in columns:
        a, p, *others = np.split(row, len(row) // D)
        cost = 0.0
        for n in others:
            to_negative = distance_of(a, n, distance)
            if swap:
                to_negative = min(to_negative, distance_of(p, n, distance))
            violation = distance_of(a, p, distance) - to_negative + margin
            cost += math.log(1 + math.exp(scale * violation)) / scale if soft else max(violation, 0.0)
        costs.append(cost / len(others))
    return averaged(costs, average)


def quadruplets(
    columns, margin=0.2, second_margin=0.1, adaptive_weights=None, distance="squared_euclidean", average="selected"
):
    found = []
    for row in columns:
        a, p, n, m = np.split(row, 4)
        found.append([distance_of(a, p, distance), distance_of(a, n, distance), distance_of(m, n, distance)])
    found = np.array(found)
    if adaptive_weights:
        gap = max(found[:, 1:].mean() - found[:, 0].mean(), 0.0)
        margin, second_margin = adaptive_weights[0] * gap, adaptive_weights[1] * gap
    first = [max(to_p - to_n + margin, 0.0) for to_p, to_n, _ in found]
    second = [max(to_p - between + second_margin, 0.0) for to_p, _, between in found]
    return averaged(first, average) + averaged(second, average)


def contrastive(columns, same, positive_margin=0.0, negative_margin=1.0, distance="euclidean"):
    values = np.zeros(len(columns))
    for index, (row, is_same) in enumerate(zip(columns, same, strict=True)):
        between = distance_of(*np.split(row, 2), distance)
        violation = between - positive_margin if is_same else negative_margin - between
        values[index] = 0.5 * max(violation, 0.0) ** 2 * len(same) / sum(same == is_same)
    return values


@pytest.fixture
def columns():
    def packed(parts):
        rows = np.random.default_rng(parts).normal(scale=0.6, size=(7, parts * D))
        return np.round(64 * rows) / 64

    return packed


def test_the_value_on_paper():
    rows = np.array([[0.0, 0, 1, 0, 0, 2], [0, 0, 0, 1, 1, 0]])
    loss = Triplet(margin=0.2, distance="squared_euclidean")
    np.testing.assert_allclose(Packed(loss, parts=3).call([0, 0], rows), [0.0, 0.2], atol=1e-7)
    np.testing.assert_allclose(Packed(loss, parts=3)([0, 0], rows), 0.1, rtol=1e-6)
    np.testing.assert_allclose(of_tuples(loss, rows[:, :2], rows[:, 2:4], rows[:, 4:]), [0.0, 0.2], atol=1e-7)


TRIPLETS = {
    "hinge": {},
    "euclidean": {"distance": "euclidean", "margin": 0.5},
    "cosine": {"distance": "cosine"},
    "dot": {"distance": "dot"},
    "soft": {"soft": True, "scale": 3.0},
    "swap": {"swap": True, "margin": 0.4},
    "active": {"average": "active"},
}


@pytest.mark.parametrize("parts", [3, 4])
@pytest.mark.parametrize("arguments", TRIPLETS.values(), ids=TRIPLETS)
def test_triplets_equal_loops_with_their_gradient(columns, agrees, arguments, parts):
    if parts == 4 and arguments.get("average") == "active":
        pytest.skip("with two negatives a row has two triplets, each active or not")
    rows = columns(parts)
    loss = Packed(Triplet(**({"margin": 0.2, "distance": "squared_euclidean"} | arguments)), parts=parts)
    agrees(loss, lambda rows: triplets(rows, **arguments), None, rows)


QUADRUPLETS = {
    "fixed": {},
    "other margins": {"margin": 0.9, "second_margin": 0.7},
    "euclidean": {"distance": "euclidean"},
    "active": {"average": "active"},
    "adaptive": {"adaptive_weights": (1.0, 0.5)},
}


@pytest.mark.parametrize("arguments", QUADRUPLETS.values(), ids=QUADRUPLETS)
def test_quadruplets_equal_loops(columns, agrees, arguments):
    rows = columns(4)
    if "adaptive_weights" in arguments:  # towards a positive gap between negatives and positives
        rows[:, D : 2 * D] = rows[:, :D] + 0.3 * rows[:, D : 2 * D]
    loss = Packed(Quadruplet(**arguments), parts=4)
    values = quadruplets(rows, **arguments)
    assert 0 < sum(value > 0 for value in values) < len(values)
    if "adaptive_weights" in arguments:  # the margins are constants to the gradient, and not to differences
        np.testing.assert_allclose(loss.call(None, rows), values, rtol=1e-5, atol=1e-6)
    else:
        agrees(loss, lambda rows: quadruplets(rows, **arguments), None, rows)


def test_quadruplets_have_both_terms_and_their_margins(columns):
    rows = columns(4)
    values = [quadruplets(rows, **arguments).mean() for arguments in QUADRUPLETS.values()]
    assert len(np.unique(np.round(values, 4))) == len(QUADRUPLETS)
    parts = np.split(rows, 4, axis=1)
    apart = of_tuples(Quadruplet(), *parts)
    np.testing.assert_allclose(apart, quadruplets(rows), rtol=1e-5, atol=1e-6)
    # [0 - 4 + .2]+ + [0 - 1 + 1.5]+, by hand
    one = of_tuples(Quadruplet(second_margin=1.5), [[0.0]], [[0.0]], [[2.0]], [[3.0]])
    np.testing.assert_allclose(one, [0.5])


def test_adaptive_margins_follow_the_pairs_of_the_rows():
    # Positives at 1; negatives at 4 and 9: the gap is 5.5, the margins 5.5 and 2.75.
    value = of_tuples(Quadruplet(adaptive_weights=(1.0, 0.5)), [[0.0]], [[1.0]], [[2.0]], [[5.0]])
    np.testing.assert_allclose(value, [1.0 - 4.0 + 5.5])


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_pairs_equal_loops_with_their_gradient(columns, agrees, distance):
    rows, same = columns(2), np.array([1, 0, 0, 1, 0, 0, 1])
    margins = {"positive_margin": 0.2, "negative_margin": 1.3, "distance": distance}
    loss = Packed(Contrastive(**margins), parts=2)
    expected = contrastive(rows, same, **margins)
    assert (expected == 0).any() and (expected > 0).sum() > 3
    agrees(loss, lambda rows: contrastive(rows, same, **margins), same, rows)
    for kind in (same[:, None], same.astype(np.float32), same.astype(bool)):
        np.testing.assert_allclose(loss.call(kind, rows), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_pairs(loss.loss, same, *np.split(rows, 2, axis=1)), expected, rtol=1e-5, atol=1e-6)


def test_a_loss_of_pairs_takes_the_pairs_of_a_triplet(columns):
    a, p, n = np.split(columns(3), 3, axis=1)
    rows = zip(a, p, n, strict=True)
    expected = [distance_of(x, y, "cosine") + max(1 - distance_of(x, z, "cosine") - 0.1, 0.0) for x, y, z in rows]
    np.testing.assert_allclose(of_tuples(Cosine(margin=0.1), a, p, n), expected, rtol=1e-5)


def test_sample_weights_weigh_rows(columns):
    rows, weights = columns(3), np.linspace(0.0, 3.0, 7)
    loss = Packed(Triplet(margin=0.2), parts=3)
    np.testing.assert_allclose(loss(np.zeros(7), rows, weights), np.mean(weights * triplets(rows)), rtol=1e-5)
    summed = Packed(Triplet(margin=0.2), parts=3, reduction="sum")
    np.testing.assert_allclose(summed(np.zeros(7), rows), np.sum(triplets(rows)), rtol=1e-5)


def test_equal_zero_and_long_rows_stay_finite():
    for distance in ("cosine", "euclidean", "squared_euclidean", "dot", "snr"):
        for row in (np.zeros(4 * D), np.ones(4 * D), 1e4 * np.arange(4 * D)):
            for loss in (Triplet(distance=distance, swap=True), Quadruplet(distance=distance)):
                variable = tf.Variable([row], dtype=tf.float32)
                with tf.GradientTape() as tape:
                    value = Packed(loss, parts=4)([0], variable)
                assert np.isfinite(value) and np.isfinite(tape.gradient(value, variable)).all()


def test_what_the_loss_learns_is_what_it_learns(columns):
    learned = Packed(SoftNearestNeighbor(learnable=True), parts=4)
    learned.build(2, D)
    assert learned.layers and learned.layers == learned.loss.layers
    with tf.GradientTape() as tape:
        value = learned(None, tf.constant(columns(4), tf.float32))
    assert abs(tape.gradient(value, learned.layers[0].trainable_variables[0].value)) > 1e-4


def test_a_broken_encoder_is_not_hidden():
    assert np.isnan(Packed(Triplet(), parts=3)([0], np.full([1, 6], np.nan)))


@pytest.mark.parametrize("loss", [Packed(Triplet(soft=True), parts=3), Packed(Quadruplet(), parts=4)])
def test_a_compiled_graph_of_unknown_batch_size_costs_the_same(columns, loss):
    rows = columns(loss.parts).astype(np.float32)
    signature = [tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, loss.parts * D], tf.float32)]
    graph = tf.function(loss, input_signature=signature)
    np.testing.assert_allclose(graph(np.zeros(7, np.int32), rows), loss(np.zeros(7), rows), rtol=1e-5)
    compiled = tf.function(loss, jit_compile=True)
    np.testing.assert_allclose(compiled(np.zeros(7), rows), loss(np.zeros(7), rows), rtol=1e-5)


def test_a_saved_loss_is_rebuilt_with_what_it_holds(columns):
    loss = Packed(Quadruplet(margin=0.7, adaptive_weights=(1.0, 0.5)), parts=4, reduction="sum", name="mine")
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    rebuilt = keras.saving.deserialize_keras_object(saved)
    assert (rebuilt.parts, rebuilt.reduction, rebuilt.name) == (4, "sum", "mine")
    assert rebuilt.loss.get_config() == loss.loss.get_config()
    assert rebuilt([0] * 7, columns(4)) == loss([0] * 7, columns(4))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras saving a variable
def test_a_keras_model_with_one_packed_output_learns_is_saved_and_loaded(tmp_path):
    keras.utils.set_random_seed(0)
    encode = keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2)])
    inputs = [keras.Input([4], name=name) for name in ("anchor", "positive", "negative")]
    model = keras.Model(inputs, keras.layers.Concatenate()([encode(part) for part in inputs]))
    model.compile(loss=Packed(Triplet(margin=0.2), parts=3), optimizer=keras.optimizers.Adam(0.01))
    rng = np.random.default_rng(0)
    anchor, negative = rng.normal(size=(2, 32, 4)).astype(np.float32)
    data = [anchor, anchor + rng.normal(scale=0.5, size=(32, 4)).astype(np.float32), negative]
    before = np.mean(triplets_of_width(model.predict(data, verbose=0), 2))
    history = model.fit(data, np.zeros(32), batch_size=32, epochs=30, verbose=0).history["loss"]
    np.testing.assert_allclose(history[0], before, rtol=1e-4)
    assert 0.0 <= history[-1] < 0.7 * before
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").loss.get_config()["parts"] == 3


def triplets_of_width(rows, width):
    a, p, n = np.split(rows.astype(np.float64), [width, 2 * width], axis=1)
    return np.maximum(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 0.2, 0.0)


REFUSED = {
    "parts": (lambda: Packed(Triplet(), parts=5), r"parts must be 2 for \[a\|b\], 3 .*; got 5"),
    "quadruplets of three": (lambda: Packed(Quadruplet(), parts=3), "a Quadruplet loss takes 4 parts.*; got 3"),
    "quadruplets apart": (lambda: of_tuples(Quadruplet(), [[0.0]], [[0.0]], [[0.0]]), "takes 4 parts"),
    "triplets of two": (lambda: Packed(Triplet(), parts=2), "Triplet takes 3 or 4 parts.*; got 2"),
    "another loss": (lambda: Packed(EmbeddingLoss()), "loss must compare an anchor .*; got EmbeddingLoss"),
    "classes": (lambda: Packed(losses.Margin(learned="per_class")), "got Margin, which needs labels"),
    "a miner": (lambda: Packed(Triplet(miner=len)), "leave nothing to mine; got miner=<built-in"),
    "width": (lambda: Packed(Triplet(), parts=3)([0], np.zeros((1, 8))), "must be a multiple of 3 wide; got"),
    "rank": (lambda: Packed(Triplet(), parts=3)([0], np.zeros((1, 3, 3))), "embeddings must be"),
    "unequal rows": (lambda: of_tuples(Triplet(), [[0.0]], [[0.0, 1.0]], [[0.0]]), "rows must come in equal shapes"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
