"""Every loss of conf/loss: the properties that all have. Those that need compiling are in test_all_losses_compiled."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning.losses.class_loss import ClassLoss
from metric_learning.losses.distance_loss import DistanceLoss, TupleLoss

ROOT = pathlib.Path(__file__).parent.parent
LOSSES = sorted(file.stem for file in (ROOT / "conf/loss").glob("*.yaml"))
MINERS = sorted(file.stem for file in (ROOT / "conf/miner").glob("*.yaml"))
MINED = [name for name in LOSSES if "\nminer:" in (ROOT / f"conf/loss/{name}.yaml").read_text()]

# They have something to say when there are only positives, or only negatives.
ONE_SIDED = {"contrastive", "cosine", "instance", "intra_pair_variance", "multi_similarity", "ranked_list", "sigmoid"}
ONE_SIDED |= {"snr_contrastive", "threshold_consistent_margin"}
# These miners draw by the first row's distances, so another order of the batch is another draw.
DRAWN = {"distance_weighted", "quadruplet_margin", "random", "schedule", "triplet_margin", "uniform_histogram"}
# Miners that know how the distances of unit vectors spread, and so refuse that of another loss.
KNOW_THE_SPHERE = {"angular", "distance_weighted"}
# Miners that compare positives with negatives, or count rows, and so take no other references.
OWN_BATCH = {"angular", "packed"}
# The losses that pair a row with the next one of its label.
PAIRED_BY_POSITION = {"barlow_twins", "vicreg"}
SINGLE_LABEL = {"sparse_categorical_crossentropy"}  # one right answer

ALONE = {name: (f"loss={name}", "miner=none") for name in LOSSES}
# It remembers the batches before; with this it knows the last one only, and so is a function of its arguments.
FORGETFUL = ("loss.momentum=1.0",)
ALONE["dynamic_soft_margin"] += FORGETFUL
# One of each way to read a selection: weighted pairs, sets of pairs, logits, triplets, quadruplets, learned boundaries.
CONVERTING = ("contrastive", "multi_similarity", "nt_xent", "adaptive_triplet", "quadruplet", "margin")
WITH_MINER = {f"{name}-semi_hard": (f"loss={name}", "miner=semi_hard") for name in CONVERTING}
# Not packed: the rows of the batch are no tuples.
TUPLES_OF_LABELS = [miner for miner in MINERS if miner not in ("none", "packed")]
WITH_MINER |= {f"triplet-{miner}": ("loss=triplet", f"miner={miner}") for miner in TUPLES_OF_LABELS}
VARIANTS = {
    "triplet-none-soft-swap": ("loss=triplet", "miner=none", "loss.soft=true", "loss.swap=true"),
    "triplet-none-euclidean": ("loss=triplet", "miner=none", "distance=euclidean"),
    "triplet-semi_hard-squared": ("loss=triplet", "miner=semi_hard", "distance=squared_euclidean"),
    "triplet-batch_hard-dot": ("loss=triplet", "miner=batch_hard", "distance=dot"),
    "triplet-none-snr": ("loss=triplet", "miner=none", "distance=snr"),
    "triplet-none-selected": ("loss=triplet", "miner=none", "loss.average=selected"),
    "quadruplet-none-adaptive": ("loss=quadruplet", "miner=none", "loss.adaptive_weights=[1.0,0.5]"),
    "quadruplet-batch_hard-euclidean": ("loss=quadruplet", "miner=batch_hard", "distance=euclidean"),
    "contrastive-none-euclidean": ("loss=contrastive", "miner=none", "distance=euclidean", "loss.squared=true"),
    "contrastive-hard_pairs-snr": ("loss=contrastive", "miner=hard_pairs", "distance=snr"),
}
CASES = ALONE | WITH_MINER | VARIANTS
every_case = pytest.mark.parametrize("case", CASES)
every_loss = pytest.mark.parametrize("case", ALONE)


def miner_of(case):
    return (*case.split("-"), "none")[1]


@pytest.fixture
def loss(build, case):
    return build("loss", *CASES[case])


def value_and_gradient(loss, labels, rows, **arguments):
    rows = tf.convert_to_tensor(rows)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        value = loss(labels, rows, **arguments)
    return value, tf.convert_to_tensor(tape.gradient(value, rows))


def gap(loss, labels, rows):
    """How much farther negatives are than positives, by the distance of the loss, in NumPy."""
    same = np.equal.outer(labels, labels)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    plain = np.linalg.norm(rows[:, None] - rows, axis=-1)
    against = {
        "euclidean": lambda: plain,
        "squared_euclidean": lambda: np.square(plain),
        "dot": lambda: -rows @ rows.T,
        "snr": lambda: np.var(rows[:, None] - rows, axis=-1) / np.var(rows, axis=-1)[:, None],
    }
    distances = against.get(loss.distance, lambda: 1.0 - unit @ unit.T)()
    return distances[~same].mean() - distances[same & ~np.eye(len(rows), dtype=bool)].mean()


def test_the_lists_of_this_file_name_what_there_is():
    assert ONE_SIDED | PAIRED_BY_POSITION | SINGLE_LABEL <= set(LOSSES)
    assert DRAWN | KNOW_THE_SPHERE | OWN_BATCH <= set(MINERS) and set(CONVERTING) <= set(MINED)


@every_loss
def test_the_yaml_names_every_hyperparameter(loss, case):
    of_the_data = {"num_classes", "embedding_dim"}  # which the run says
    written = (ROOT / f"conf/loss/{case}.yaml").read_text()
    assert {key for key in loss.get_config() if f"\n{key}:" not in written} - of_the_data == {"name", "reduction"}
    assert isinstance(loss, TupleLoss) == (case in MINED)


@every_case
def test_the_loss_is_the_mean_of_its_values_per_anchor(batch, loss, labels_for):
    labels = labels_for(loss, batch.labels)
    values, mean = loss.call(labels, batch.embeddings), loss(labels, batch.embeddings)
    assert values.shape == [10] and mean.shape == []
    assert values.dtype == mean.dtype == tf.float32
    assert abs(mean) > 0.01
    np.testing.assert_allclose(mean, np.mean(values), rtol=1e-5)


@every_case
def test_learning_brings_positives_closer_relative_to_negatives(batch, loss, labels_for, case):
    labels, rows = labels_for(loss, batch.labels), batch.embeddings.astype(np.float32)
    if loss.distance == "snr":
        rows = rows + np.array([1.0, 0.0, -1.0], np.float32)  # a signal in every row, so that none counts alone
    # A loss that learns needs more than a step, as its class vectors begin anywhere; so do the rows, side by side.
    learned = [variable for layer in loss.layers for variable in layer.trainable_variables]
    kept = [variable.numpy() for layer in loss.layers for variable in layer.variables]
    rows = 0.1 * rows + 1.0 if learned else rows
    optimizer = keras.optimizers.Adam(0.05) if learned else keras.optimizers.SGD(0.02)
    moved = keras.Variable(rows)
    sources = [moved, *learned]
    for _ in range(100 if learned else 1):
        with tf.GradientTape() as tape:
            value = loss(labels, moved.value)
        gradients = tape.gradient(value, [source.value for source in sources])
        if not learned:
            gradients = [gradients[0] / tf.norm(gradients[0])]
        optimizer.apply_gradients(zip(gradients, sources, strict=True))
    for variable, before in zip((v for layer in loss.layers for v in layer.variables), kept, strict=True):
        variable.assign(before)
    assert gap(loss, labels, moved.numpy()) > gap(loss, labels, rows) + 1e-4


@every_case
def test_order_of_the_batch_and_names_of_classes_do_not_matter(batch, loss, labels_for, case):
    labels, rows = labels_for(loss, batch.labels), batch.embeddings
    values = loss.call(labels, rows)
    if labels is batch.labels:
        names = {label: 7 - 1000 * index for index, label in enumerate(np.unique(labels))}
        renamed = np.array([names[label] for label in labels])
        np.testing.assert_allclose(loss.call(renamed, rows), values, rtol=1e-6)
    if miner_of(case) not in DRAWN and case not in PAIRED_BY_POSITION:
        order = np.random.default_rng(1).permutation(10)
        moved = loss.call(labels[order], rows[order])
        np.testing.assert_allclose(moved, tf.gather(values, order), rtol=1e-5, atol=1e-5)


@every_loss
def test_ids_above_2_to_the_24_are_told_apart(batch, loss, labels_for):
    if labels_for(loss, batch.labels) is not batch.labels:
        pytest.skip("its labels are the numbers of classes, which are few")
    merged = batch.labels.astype(np.float32).astype(np.int64)
    assert abs(loss(*batch) - loss(merged, batch.embeddings)) > 1e-4


@every_case
@pytest.mark.parametrize("labels", [[5], [5, 5, 5, 5], [1, 2, 3, 4]], ids=["one row", "one class", "all different"])
def test_without_a_valid_tuple_loss_and_gradient_are_zero(batch, loss, case, labels):
    value, gradient = value_and_gradient(loss, labels, batch.embeddings[: len(labels)])
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if isinstance(loss, DistanceLoss) and (case.split("-")[0] not in ONE_SIDED or len(labels) == 1):
        assert value == 0.0 and not np.any(gradient)


HARD_ROWS = {
    "duplicates": lambda rows: rows[[0, 0, 2, 2, 4, 0, 0, 7, 7, 7]],
    "all equal": lambda rows: np.tile(rows[:1], (10, 1)),
    "all zero": np.zeros_like,
    "some zero": lambda rows: rows * (np.arange(10) % 3 > 0)[:, None],
    "long": lambda rows: 1e4 * rows / np.linalg.norm(rows, axis=1, keepdims=True),
    "short": lambda rows: 1e-12 * rows,
    "opposite": lambda rows: rows[[0] * 10] * np.array([1, -1] * 5)[:, None],
}


@every_case
def test_value_and_gradient_stay_finite(batch, loss, labels_for):
    for kind, change in HARD_ROWS.items():
        rows = change(batch.embeddings).astype(np.float32)
        value, gradient = value_and_gradient(loss, labels_for(loss, batch.labels), rows)
        assert np.isfinite(value), kind
        assert np.isfinite(gradient).all(), kind


@every_loss
def test_the_nan_of_a_broken_encoder_is_not_hidden(batch, loss, labels_for):
    rows = np.full_like(batch.embeddings, np.nan)
    assert np.isnan(loss(labels_for(loss, batch.labels), rows))


@every_case
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16], ids=["float16", "bfloat16"])
def test_half_precision_embeddings_cost_what_they_cost_in_double(batch, loss, labels_for, dtype):
    labels = labels_for(loss, batch.labels)
    half = tf.cast(batch.embeddings, dtype)
    value, gradient = value_and_gradient(loss, labels, half)
    exact, exact_gradient = value_and_gradient(loss, labels, tf.cast(half, tf.float64))
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    assert gradient.dtype == dtype
    scale = max(1.0, np.abs(exact_gradient).max())
    np.testing.assert_allclose(tf.cast(gradient, tf.float64), exact_gradient, rtol=1e-2, atol=2e-3 * scale)


@every_loss
def test_one_hot_labels_are_the_integers_that_they_stand_for(batch, loss, labels_for, case):
    if case in SINGLE_LABEL:
        pytest.skip("one integer a row")
    classes = np.unique(batch.labels, return_inverse=True)[1]
    one_hot = np.eye(6)[classes]
    values = loss.call(labels_for(loss, batch.labels), batch.embeddings)
    np.testing.assert_allclose(loss.call(one_hot, batch.embeddings), values, rtol=1e-5, atol=1e-6)
    many = one_hot.copy()
    many[[0, 1, 3], [1, 2, 0]] = 1.0  # two classes each
    changed = loss.call(many, batch.embeddings)
    assert np.isfinite(changed).all() and not np.allclose(changed, values, atol=1e-4)


@every_loss
def test_a_grade_between_alike_and_different_costs_something_in_between(batch, loss, case):
    if not getattr(loss, "takes_grades", False):
        pytest.skip("the loss knows equal and different only")
    graded = np.eye(4)[np.unique(batch.labels, return_inverse=True)[1]]
    changed = graded.copy()
    changed[0] = [0.7, 0.3, 0.0, 0.0]
    assert not np.allclose(loss.call(graded, batch.embeddings), loss.call(changed, batch.embeddings), atol=1e-4)


@every_case
def test_the_batch_as_its_own_references_is_the_plain_call(batch, loss, labels_for, case):
    if not isinstance(loss, DistanceLoss) or getattr(loss, "swap", False):
        pytest.skip("takes no references")
    labels, rows = labels_for(loss, batch.labels), batch.embeddings
    ids = np.arange(10) * 3 + 2**25
    values = loss.call(labels, rows, ref_labels=labels, ref_embeddings=rows, ids=ids, ref_ids=ids)
    np.testing.assert_allclose(values, loss.call(labels, rows), rtol=1e-5, atol=1e-6)


@every_case
def test_references_in_another_order_cost_the_same(batch, bank, loss, labels_for, case):
    if not isinstance(loss, DistanceLoss) or getattr(loss, "swap", False) or miner_of(case) in DRAWN | OWN_BATCH:
        pytest.skip("takes no references, or draws by the order")
    labels, ref_labels = labels_for(loss, batch.labels), labels_for(loss, bank.labels)
    plain = loss.call(labels, batch.embeddings, ref_labels=ref_labels, ref_embeddings=bank.embeddings)
    turned = loss.call(labels, batch.embeddings, ref_labels=ref_labels[::-1], ref_embeddings=bank.embeddings[::-1])
    assert np.sum(np.abs(plain)) > 0.0
    np.testing.assert_allclose(turned, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MINED)
def test_any_miner_goes_with_it(batch, build, labels_for, name):
    for miner in MINERS:
        if name == "snr_contrastive" and miner in KNOW_THE_SPHERE:
            continue
        loss = build("loss", f"loss={name}", f"miner={miner}")
        value, gradient = value_and_gradient(loss, labels_for(loss, batch.labels), batch.embeddings)
        assert np.isfinite(value) and np.isfinite(gradient).all(), miner


BAD_CALLS = {
    "embeddings of rank 3": ({"embeddings": np.ones((4, 2, 2))}, r"embeddings must be \[batch, (dim|3)\]"),
    "labels of rank 3": ({"labels": np.ones((4, 1, 1), int)}, r"labels must be \[batch\]"),
}
BAD_REFERENCES = {
    "only ref_labels": ({"ref_labels": [0, 1]}, "must be given together"),
    "only ref_embeddings": ({"ref_embeddings": np.ones((2, 3))}, "must be given together"),
}


@every_loss
def test_calls_that_make_no_sense_are_refused(loss, case):
    for change, message in (BAD_CALLS | (BAD_REFERENCES if isinstance(loss, DistanceLoss) else {})).values():
        arguments = {"labels": [0, 0, 1, 1], "embeddings": np.ones((4, 3))} | change
        with pytest.raises(ValueError, match=message):
            loss(**arguments)


@every_loss
def test_labels_of_another_batch_are_refused(loss):
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        loss([0, 0, 1], np.ones((4, 3)))


def test_class_losses_say_what_they_miss(build):
    for name in LOSSES:
        built = build("loss", f"loss={name}", "miner=none")
        if isinstance(built, ClassLoss) and getattr(built, "over", "classes") == "classes":
            unbuilt = type(built).from_config(built.get_config() | {"num_classes": None, "embedding_dim": None})
            with pytest.raises(ValueError, match="num_classes and embedding_dim must be known"):
                unbuilt([0, 1], np.ones((2, 3)))
            with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
                built([0, 6], np.ones((2, 3)))
