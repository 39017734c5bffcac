"""The losses of Keras as losses on embeddings, over classes and over pairs, against loops in float64."""

import math

import keras
import numpy as np
import pytest

from metric_learning import losses

CLASSES, DIM = 6, 3
LABELS = np.array([0, 3, 0, 1, 4, 3, 0, 1, 3, 0])  # of six classes, 2 and 5 without rows, 4 with one
MULTI_HOT = np.zeros((10, CLASSES), np.float32)
MULTI_HOT[np.arange(10), LABELS] = 1.0
MULTI_HOT[[0, 3, 7], [2, 2, 5]] = 1.0
GRADED = MULTI_HOT * np.where(np.arange(10) % 3 == 0, 0.5, 1.0)[:, None].astype(np.float32)


def sigmoid(z):
    return 1.0 / (1.0 + math.exp(-z))


def softmax(row):
    total = sum(math.exp(z) for z in row)
    return [math.exp(z) / total for z in row]


ACTIVATE = {
    "none": list,
    "sigmoid": lambda row: [sigmoid(z) for z in row],
    "tanh": lambda row: [math.tanh(z) for z in row],
    "softmax": softmax,
}


def entropy(y, p):
    return -y * math.log(p) - (1 - y) * math.log(1 - p)


def huber(e, delta):
    return e * e / 2 if abs(e) <= delta else delta * abs(e) - delta * delta / 2


def binary(y, z, label_smoothing=0.0):
    return entropy(y * (1 - label_smoothing) + label_smoothing / 2, sigmoid(z))


def focal(y, z, gamma=2.0, alpha=None, label_smoothing=0.0):
    y, p = y * (1 - label_smoothing) + label_smoothing / 2, sigmoid(z)
    weight = 1.0 if alpha is None else y * alpha + (1 - y) * (1 - alpha)
    return weight * (1 - y * p - (1 - y) * (1 - p)) ** gamma * entropy(y, p)


# What a column costs, of its target and its logit; of its target and its prediction where there are activations.
COLUMNS = {
    "BinaryCrossentropy": binary,
    "BinaryFocalCrossentropy": focal,
    "Poisson": lambda y, z: sigmoid(z) - y * math.log(sigmoid(z)),
    "Hinge": lambda y, z: max(1 - (2 * y - 1) * z, 0),
    "SquaredHinge": lambda y, z: max(1 - (2 * y - 1) * z, 0) ** 2,
}
REGRESSIONS = {
    "MeanSquaredError": lambda y, p: (y - p) ** 2,
    "MeanAbsoluteError": lambda y, p: abs(y - p),
    "Huber": lambda y, p, delta=1.0: huber(p - y, delta),
    "LogCosh": lambda y, p: math.log(math.cosh(p - y)),
}


def categorical(ys, zs, label_smoothing=0.0):
    ys = [y / sum(ys) * (1 - label_smoothing) + label_smoothing / len(ys) for y in ys]
    return sum(-y * math.log(p) for y, p in zip(ys, softmax(zs), strict=True))


def categorical_focal(ys, zs, gamma=2.0, alpha=1.0, label_smoothing=0.0):
    ys = [y / sum(ys) * (1 - label_smoothing) + label_smoothing / len(ys) for y in ys]
    return sum(-alpha * y * (1 - p) ** gamma * math.log(p) for y, p in zip(ys, softmax(zs), strict=True))


def divergence(ys, zs):
    pairs = [(y / sum(ys), p) for y, p in zip(ys, softmax(zs), strict=True) if y]
    return sum(y * math.log(y / p) for y, p in pairs)


def categorical_hinge(ys, zs):
    right = sum(y * z for y, z in zip(ys, zs, strict=True)) / sum(ys)
    return max(max((1 - y) * z for y, z in zip(ys, zs, strict=True)) - right + 1, 0)


def f_beta(ys, zs, beta=1.0):
    cells = [(y, sigmoid(z)) for y, z in zip(ys, zs, strict=True)]
    hits, expected, predicted = sum(y * p for y, p in cells), sum(y for y, _ in cells), sum(p for _, p in cells)
    precision, recall = hits / predicted, hits / expected
    return 1 - (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def cosine(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


# What a row costs, of its targets and its logits; 0 if it has no target.
ROWS = {
    "CategoricalCrossentropy": categorical,
    "SparseCategoricalCrossentropy": categorical,
    "CategoricalFocalCrossentropy": categorical_focal,
    "CategoricalHinge": categorical_hinge,
    "KLDivergence": divergence,
    "FBeta": f_beta,
    "CosineSimilarity": lambda ys, zs, activation="sigmoid": 1 - cosine(ys, ACTIVATE[activation](zs)),
}
NAMES = [*COLUMNS, *REGRESSIONS, *ROWS]
ONLY_CLASSES = [
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
]
OVER_PAIRS = [name for name in NAMES if name not in ONLY_CLASSES]
WITHOUT_BIAS = [*ONLY_CLASSES, "KLDivergence"]


def row_cost(name, ys, zs, positive_share=None, activation="sigmoid", **settings):
    if name in ROWS:
        settings |= {"activation": activation} if name == "CosineSimilarity" else {}
        return ROWS[name](ys, zs, **settings) if any(ys) else 0.0
    if name in REGRESSIONS:
        zs = ACTIVATE[activation](zs)
    costs = [(COLUMNS | REGRESSIONS)[name](y, z, **settings) for y, z in zip(ys, zs, strict=True)]
    if positive_share is None:
        return sum(costs) / len(costs)

    def side(weights):
        return sum(w * cost for w, cost in zip(weights, costs, strict=True)) / sum(weights) if any(weights) else 0.0

    return positive_share * side(ys) + (1 - positive_share) * side([1 - y for y in ys])


def likeness(x, y, similarity):
    dot = sum(a * b for a, b in zip(x, y, strict=True))
    return dot if similarity == "dot" else dot / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def over_classes(name, targets, scale, similarity, **settings):
    def expected(rows, vectors, bias=(0.0,)):
        [bias] = bias
        return np.array(
            [
                row_cost(name, ys, [scale * likeness(row, v, similarity) + bias for v in vectors], **settings)
                for row, ys in zip(rows, targets.tolist(), strict=True)
            ]
        )

    return expected


def over_pairs(name, labels, scale, similarity, bias=0.0, ref_labels=None, refs=None, **settings):
    labels = labels.astype(float) if labels.ndim == 2 else labels
    ref_labels = labels if ref_labels is None else ref_labels

    def target(a, j):
        if labels.ndim == 1:
            return float(labels[a] == ref_labels[j])
        shared = float(np.dot(labels[a], ref_labels[j]))
        return shared / (np.dot(labels[a], labels[a]) + np.dot(ref_labels[j], ref_labels[j]) - shared)

    def expected(rows):
        others = rows if refs is None else refs
        values = []
        for a, row in enumerate(rows):
            columns = [j for j in range(len(others)) if refs is not None or j != a]
            logits = [scale * likeness(row, others[j], similarity) + bias for j in columns]
            values.append(row_cost(name, [target(a, j) for j in columns], logits, **settings))
        return np.array(values)

    return expected


def built(name, **settings):
    keras.utils.set_random_seed(4)
    return getattr(losses, name)(num_classes=CLASSES, embedding_dim=DIM, **settings)


SETTINGS = {
    "BinaryCrossentropy": [{"label_smoothing": 0.2}],
    "BinaryFocalCrossentropy": [{"gamma": 0.5, "alpha": 0.3}, {"gamma": 1.5, "label_smoothing": 0.2}],
    "Huber": [{"delta": 0.3}],
    "FBeta": [{"beta": 2.0}, {"beta": 0.5}],
    "CategoricalCrossentropy": [{"label_smoothing": 0.2}],
    "CategoricalFocalCrossentropy": [{"gamma": 0.5, "alpha": 0.3}, {"label_smoothing": 0.2}],
    **{name: [{"activation": "none"}, {"activation": "tanh"}] for name in [*REGRESSIONS, "CosineSimilarity"]},
}
SETTINGS["Huber"] = [{"delta": 0.3}, {"delta": 0.3, "activation": "none"}]
CASES = [(name, settings) for name in NAMES for settings in [{}, *SETTINGS.get(name, [])]]
CASES += [(name, {"positive_share": 0.3}) for name in [*COLUMNS, *REGRESSIONS]]


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_over_classes_equals_loops_with_all_gradients(batch, agrees, name, settings, similarity):
    bias = {} if name in WITHOUT_BIAS else {"bias": -0.4}
    loss = built(name, scale=2.0, similarity=similarity, **settings, **bias)
    assert len(loss.layers) == 1 + len(bias) and loss.distance is None
    agrees(loss, over_classes(name, np.eye(CLASSES)[LABELS], 2.0, similarity, **settings), LABELS, batch.embeddings)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize(("name", "settings"), [case for case in CASES if case[0] in OVER_PAIRS])
def test_over_pairs_equals_loops_with_the_gradient(batch, agrees, name, settings, similarity):
    bias = {} if name in WITHOUT_BIAS else {"bias": -0.4}
    loss = getattr(losses, name)(over="pairs", scale=2.0, similarity=similarity, **settings, **bias)
    assert loss.layers == [] and loss.distance == similarity
    agrees(loss, over_pairs(name, batch.labels, 2.0, similarity, **settings, **bias), *batch)


@pytest.mark.parametrize("name", [*REGRESSIONS, "CosineSimilarity"])
def test_softmax_predictions_have_no_bias_and_need_classes(batch, agrees, name):
    loss = built(name, scale=3.0, activation="softmax")
    assert len(loss.layers) == 1
    expected = over_classes(name, np.eye(CLASSES)[LABELS], 3.0, "cosine", activation="softmax")
    agrees(loss, expected, LABELS, batch.embeddings)
    with pytest.raises(ValueError, match="activation must not be softmax over pairs"):
        built(name, over="pairs", activation="softmax")


@pytest.mark.parametrize("share", [None, 0.3])
@pytest.mark.parametrize("labels", [MULTI_HOT, GRADED], ids=["multi-hot", "graded"])
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("Sparse")])
def test_labels_of_several_classes_are_the_targets(batch, agrees, name, labels, share):
    if name in ROWS and share:
        pytest.skip("no positive_share")
    settings = {"positive_share": share} if share else {}
    bias = {} if name in WITHOUT_BIAS else {"bias": -0.4}
    loss = built(name, scale=2.0, **settings, **bias)
    agrees(loss, over_classes(name, labels, 2.0, "cosine", **settings), labels, batch.embeddings)


@pytest.mark.parametrize("share", [None, 0.3])
@pytest.mark.parametrize("name", OVER_PAIRS)
def test_pairs_of_several_classes_have_grades_for_targets(batch, agrees, name, share):
    if name in ROWS and share:
        pytest.skip("no positive_share")
    settings = {"positive_share": share} if share else {}
    bias = {} if name in WITHOUT_BIAS else {"bias": 0.3}
    loss = getattr(losses, name)(over="pairs", scale=2.0, **settings, **bias)
    expected = over_pairs(name, MULTI_HOT, 2.0, "cosine", **settings, **bias)
    agrees(loss, expected, MULTI_HOT, batch.embeddings)
    one_class = loss.call(np.eye(CLASSES, dtype=np.float32)[LABELS], batch.embeddings)
    np.testing.assert_allclose(one_class, loss.call(LABELS, batch.embeddings), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", OVER_PAIRS)
def test_pairs_with_a_bank(batch, bank, agrees, name):
    bias = {} if name in WITHOUT_BIAS else {"bias": -0.4}
    loss = getattr(losses, name)(over="pairs", scale=2.0, **bias)
    expected = over_pairs(name, batch.labels, 2.0, "cosine", ref_labels=bank.labels, refs=bank.embeddings, **bias)
    agrees(loss, expected, *batch, ref_labels=bank.labels, ref_embeddings=bank.embeddings)
    with pytest.raises(ValueError, match="takes no references; got ref_labels"):
        built(name).call(LABELS, batch.embeddings, ref_labels=LABELS, ref_embeddings=batch.embeddings)


def test_cases_differ_from_each_other(batch):
    for cases in ([case for case in CASES if case[0] == name] for name in NAMES):
        values = [float(built(name, scale=2.0, **settings)(LABELS, batch.embeddings)) for name, settings in cases]
        assert len(np.unique(np.round(values, 4))) == len(cases)
        for change in ({"scale": 3.0}, {"similarity": "dot"}, {"bias": 0.7}):
            name, settings = cases[0]
            if name not in WITHOUT_BIAS or "bias" not in change:
                changed = built(name, **{"scale": 2.0} | settings | change)
                assert abs(changed(LABELS, batch.embeddings) - values[0]) > 1e-4
