"""The same losses on targets and predictions, as Keras has them: values, options, weights, saving."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    FBeta,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)

GENERATOR = np.random.default_rng(11)
TARGETS = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float64)
SHARES = np.round(GENERATOR.dirichlet([1, 1, 1], size=4), 3)
SHARES[:, 2] = 1.0 - SHARES[:, 0] - SHARES[:, 1]
LOGITS = GENERATOR.normal(scale=2.0, size=(4, 3))


def softmax(row):
    return [math.exp(z) / sum(map(math.exp, row)) for z in row]


def sigmoids(row):
    return [1 / (1 + math.exp(-z)) for z in row]


def mean(costs):
    return sum(costs) / len(costs)


def zipped(y, p):
    return list(zip(y, p, strict=True))


def binary(y, p, smoothing=0.0):
    y = [t * (1 - smoothing) + smoothing / 2 for t in y]
    return mean([-t * math.log(q) - (1 - t) * math.log(1 - q) for t, q in zipped(y, p)])


def focal(y, p, gamma, alpha=None):
    hits = [(q, alpha or 1) if t else (1 - q, 1 - alpha if alpha else 1) for t, q in zipped(y, p)]
    return mean([-a * (1 - q) ** gamma * math.log(q) for q, a in hits])


def categorical(y, p, smoothing=0.0, gamma=0.0, alpha=1.0):
    y = [t * (1 - smoothing) + smoothing / len(y) for t in y]
    return sum(-alpha * t * (1 - q) ** gamma * math.log(q) for t, q in zipped(y, p))


def huber(e, delta):
    return e * e / 2 if abs(e) <= delta else delta * abs(e) - delta * delta / 2


def cosine(y, p):
    return sum(t * q for t, q in zipped(y, p)) / math.sqrt(sum(t * t for t in y) * sum(q * q for q in p))


def f_beta(y, p, beta):
    hits, missed = sum(t * q for t, q in zipped(y, p)), sum(t * (1 - q) for t, q in zipped(y, p))
    false = sum((1 - t) * q for t, q in zipped(y, p))
    return 1 - (1 + beta**2) * hits / ((1 + beta**2) * hits + beta**2 * missed + false)


def signed(y):
    return [2 * t - 1 for t in y]


CASES = {
    "binary": (BinaryCrossentropy, {}, SHARES, binary),
    "binary, logits": (BinaryCrossentropy, {"from_logits": True}, LOGITS, lambda y, z: binary(y, sigmoids(z))),
    "binary, smoothed": (BinaryCrossentropy, {"label_smoothing": 0.2}, SHARES, lambda y, p: binary(y, p, 0.2)),
    "categorical": (CategoricalCrossentropy, {}, SHARES, categorical),
    "categorical, logits": (
        CategoricalCrossentropy,
        {"from_logits": True, "label_smoothing": 0.1},
        LOGITS,
        lambda y, z: categorical(y, softmax(z), 0.1),
    ),
    "sparse": (SparseCategoricalCrossentropy, {}, SHARES, categorical),
    "sparse, logits": (
        SparseCategoricalCrossentropy,
        {"from_logits": True},
        LOGITS,
        lambda y, z: categorical(y, softmax(z)),
    ),
    "focal": (BinaryFocalCrossentropy, {"gamma": 1.5}, SHARES, lambda y, p: focal(y, p, 1.5)),
    "focal, balanced": (
        BinaryFocalCrossentropy,
        {"alpha": 0.3},
        SHARES,
        lambda y, p: focal(y, p, 2.0, 0.3),
    ),
    "focal, logits": (
        BinaryFocalCrossentropy,
        {"alpha": 0.3, "gamma": 0.5, "from_logits": True},
        LOGITS,
        lambda y, z: focal(y, sigmoids(z), 0.5, 0.3),
    ),
    "categorical focal": (
        CategoricalFocalCrossentropy,
        {"gamma": 1.5, "alpha": 0.4},
        SHARES,
        lambda y, p: categorical(y, p, gamma=1.5, alpha=0.4),
    ),
    "categorical focal, logits": (
        CategoricalFocalCrossentropy,
        {"from_logits": True, "label_smoothing": 0.1},
        LOGITS,
        lambda y, z: categorical(y, softmax(z), 0.1, 2.0),
    ),
    "poisson": (Poisson, {}, 3 * SHARES, lambda y, p: mean([q - t * math.log(q) for t, q in zipped(y, p)])),
    "divergence": (KLDivergence, {}, SHARES, categorical),  # the targets have no entropy
    "squared": (MeanSquaredError, {}, LOGITS, lambda y, p: mean([(t - q) ** 2 for t, q in zipped(y, p)])),
    "absolute": (MeanAbsoluteError, {}, LOGITS, lambda y, p: mean([abs(t - q) for t, q in zipped(y, p)])),
    "huber": (Huber, {}, LOGITS, lambda y, p: mean([huber(t - q, 1.0) for t, q in zipped(y, p)])),
    "huber, delta": (Huber, {"delta": 0.4}, LOGITS, lambda y, p: mean([huber(t - q, 0.4) for t, q in zipped(y, p)])),
    "log cosh": (LogCosh, {}, LOGITS, lambda y, p: mean([math.log(math.cosh(q - t)) for t, q in zipped(y, p)])),
    "cosine": (CosineSimilarity, {}, LOGITS, lambda y, p: -cosine(y, p)),
    "hinge": (Hinge, {}, LOGITS, lambda y, z: mean([max(1 - t * q, 0) for t, q in zipped(signed(y), z)])),
    "squared hinge": (
        SquaredHinge,
        {},
        LOGITS,
        lambda y, z: mean([max(1 - t * q, 0) ** 2 for t, q in zipped(signed(y), z)]),
    ),
    "categorical hinge": (
        CategoricalHinge,
        {},
        LOGITS,
        lambda y, z: max(max((1 - t) * q for t, q in zipped(y, z)) - sum(t * q for t, q in zipped(y, z)) + 1, 0),
    ),
    "f beta": (FBeta, {"beta": 2.0}, SHARES, lambda y, p: f_beta(y, p, 2.0)),
    "f one": (FBeta, {}, SHARES, lambda y, p: f_beta(y, p, 1.0)),
}
every_case = pytest.mark.parametrize(("kind", "settings", "predictions", "oracle"), CASES.values(), ids=CASES)


def targets_of(kind):
    return TARGETS.argmax(axis=1) if kind is SparseCategoricalCrossentropy else TARGETS


@every_case
def test_values_reductions_and_weights_equal_loops(kind, settings, predictions, oracle):
    expected = np.array([oracle(y, p) for y, p in zip(TARGETS.tolist(), predictions.tolist(), strict=True)])
    weights = np.array([0.0, 0.5, 2.0, 1.0])
    results = {
        None: expected * weights,
        "sum": np.sum(expected * weights),
        "sum_over_batch_size": np.mean(expected * weights),
        "mean_with_sample_weight": np.sum(expected * weights) / np.sum(weights),
    }
    for reduction, value in results.items():
        loss = kind.on_predictions(reduction=reduction, **settings)
        np.testing.assert_allclose(loss(targets_of(kind), predictions, weights), value, rtol=2e-5, atol=1e-5)
    plain = kind.on_predictions(**settings)
    np.testing.assert_allclose(plain(targets_of(kind).tolist(), predictions.tolist()), expected.mean(), rtol=2e-5)
    np.testing.assert_allclose(plain.call(targets_of(kind), predictions), expected, rtol=2e-5, atol=1e-5)


@every_case
def test_gradients_equal_central_differences(central_differences, kind, settings, predictions, oracle):
    if kind is CategoricalCrossentropy and "from_logits" not in settings or kind is CategoricalFocalCrossentropy:
        pytest.skip("Keras scales the predictions to rows of sum 1 first, as the oracle does not")

    def expected(predictions):
        return np.mean([oracle(y, p) for y, p in zip(TARGETS.tolist(), predictions.tolist(), strict=True)])

    predictions = tf.constant(predictions, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(predictions)
        value = kind.on_predictions(**settings)(targets_of(kind), predictions)
    wanted = central_differences(expected, predictions.numpy().astype(np.float64))
    if kind is SparseCategoricalCrossentropy and "from_logits" not in settings:
        # Keras takes the logarithms for logits, which scales them to a sum of 1.
        wanted += 1.0 / len(TARGETS)
    assert np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(tape.gradient(value, predictions), wanted, rtol=1e-3, atol=1e-4)


@every_case
def test_a_saved_loss_keeps_its_settings_and_values(tmp_path, kind, settings, predictions, oracle):
    loss = kind.on_predictions(reduction="sum", name="mine", **settings)
    rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert rebuilt.get_config() == loss.get_config() and rebuilt.name == "mine"
    np.testing.assert_array_equal(rebuilt(targets_of(kind), predictions), loss(targets_of(kind), predictions))


@pytest.mark.parametrize("kind", [CategoricalCrossentropy, CategoricalFocalCrossentropy])
def test_smoothing_goes_by_the_length_of_the_axis(kind):
    """Keras 3.15 goes by that of the last axis: here 4 rows, where there are 3 classes."""
    settings = {"label_smoothing": 0.3, "from_logits": True, "reduction": None}
    usual = kind.on_predictions(**settings)(TARGETS, LOGITS)
    np.testing.assert_allclose(kind.on_predictions(axis=0, **settings)(TARGETS.T, LOGITS.T), usual, rtol=1e-5)
    by_hand = [categorical(y, softmax(z), 0.3, 0.0 if kind is CategoricalCrossentropy else 2.0) for y, z in
               zip(TARGETS.tolist(), LOGITS.tolist(), strict=True)]  # fmt: skip
    np.testing.assert_allclose(usual, by_hand, rtol=1e-5)


def test_alpha_is_applied_when_it_is_given():
    """Keras 3.15 ignores it without apply_class_balancing."""
    for predictions, how in ((SHARES, {}), (LOGITS, {"from_logits": True})):
        plain = BinaryFocalCrossentropy.on_predictions(**how)(TARGETS, predictions)
        negatives = BinaryFocalCrossentropy.on_predictions(alpha=0.0, **how)(TARGETS, predictions)
        positives = BinaryFocalCrossentropy.on_predictions(alpha=1.0, **how)(TARGETS, predictions)
        assert negatives > 0.01 and positives > 0.01
        np.testing.assert_allclose(negatives + positives, plain, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras saving a variable
def test_a_keras_model_learns_with_it_and_brings_it_back(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile(loss=Huber.on_predictions(delta=0.5), optimizer=keras.optimizers.SGD(0.1))
    inputs = LOGITS.astype(np.float32)
    history = model.fit(inputs, TARGETS.astype(np.float32), epochs=30, verbose=0).history["loss"]
    assert history[-1] < 0.8 * history[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.loss.delta == 0.5
