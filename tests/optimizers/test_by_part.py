"""Each part moves at its own rate, decay spares what is no matrix, and without rates all is as in Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from metric_learning import encoders, losses, optimizers
from metric_learning.training import Learner

OPTIONS = {"SGD": {"momentum": 0.9, "nesterov": True}, "Adam": {}, "AdamW": {"weight_decay": 0.1}}
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
LABELS = np.repeat(np.arange(2), 4)


def variables():
    rng = np.random.default_rng(3)
    values = {"kernel": rng.normal(size=(3, 4)), "bias": rng.normal(size=4), "gamma": rng.normal(size=4)}
    return [keras.Variable(value.astype(np.float32), name=name) for name, value in values.items()]


def gradients(step):
    rng = np.random.default_rng(100 + step)
    return [tf.constant(rng.normal(size=shape), tf.float32) for shape in ((3, 4), (4,), (4,))]


def after_steps(optimizer, steps=3):
    trained = variables()
    for step in range(steps):
        optimizer.apply(gradients(step), trained)
    return [variable.numpy() for variable in trained]


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_without_rates_the_steps_are_those_of_keras(name):
    ours = after_steps(getattr(optimizers, name)(0.1, **OPTIONS[name]))
    theirs = after_steps(getattr(keras.optimizers, name)(0.1, **OPTIONS[name]))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def slow_adamw(values, rates, decays, steps=3, learning_rate=0.1):
    """Float64, each variable alone."""
    results = []
    for i, (value, rate, decay) in enumerate(zip(values, rates, decays, strict=True)):
        value = value.astype(np.float64)
        first = second = 0.0
        for step in range(steps):
            gradient = gradients(step)[i].numpy().astype(np.float64)
            value = value - value * decay * learning_rate * rate
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            corrected = (first / (1 - 0.9 ** (step + 1))) / (np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-7)
            value = value - learning_rate * rate * corrected
        results.append(value)
    return results


def test_rates_scale_steps_and_decay_which_spares_what_is_no_matrix():
    found = after_steps(optimizers.AdamW(0.1, weight_decay=0.5, rates={"ker.*": 0.25, "gamma": 4, "bias|gamma": 2}))
    # The last pattern that fits counts.
    expected = slow_adamw([variable.numpy() for variable in variables()], [0.25, 2, 2], [0.5, 0, 0])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({"backbone": 0.5, "head": 3}, [0.5, 0.5, 3]),  # not "head" of "multi_head_attention"
        ({"backbone/": 0.5, "head/dense": 3}, [0.5, 0.5, 3]),
        ({"multi_head.*|dense": 2}, [2, 1, 2]),
        ({"backbone/.*/query": 2, "kernel$": 3, "^head": 4}, [3, 3, 4]),
    ],
)
def test_patterns_are_of_whole_parts_of_a_path(rates, expected):
    paths = ["backbone/vit/multi_head_attention/query/kernel", "backbone/vit/head/kernel", "head/dense/kernel"]
    if "head" in rates:
        paths[1] = "backbone/vit/head_norm/kernel"
    trained = [keras.Variable(np.ones(3, np.float32)) for _ in paths]
    optimizer = optimizers.SGD(1.0, rates=rates)
    optimizer.name_variables({id(variable): path for variable, path in zip(trained, paths, strict=True)})
    optimizer.apply([tf.ones(3)] * 3, trained)
    np.testing.assert_allclose([1 - variable.numpy()[0] for variable in trained], expected)


def test_compiled_by_xla_the_steps_are_the_same():
    options = {"weight_decay": 0.5, "rates": {"kernel": 0.25}}
    optimizer, trained = optimizers.AdamW(0.1, **options), variables()
    optimizer.build(trained)
    apply = tf.function(lambda *parts: optimizer.apply(list(parts), trained), jit_compile=True, autograph=False)
    for step in range(3):
        apply(*gradients(step))
    for one, other in zip(trained, after_steps(optimizers.AdamW(0.1, **options)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def backbone(folder):
    images = keras.Input((8, 8, 3))
    keras.Model(images, keras.layers.Conv2D(4, 3)(images)).save(folder / "backbone.keras")
    return folder / "backbone.keras"


def new_learner(folder, optimizer, **options):
    keras.utils.set_random_seed(0)
    encoder = encoders.pretrained((8, 8, 3), backbone=backbone(folder), embedding_dim=3, **{"train": "all"} | options)
    loss = losses.NormalizedSoftmax(num_classes=2, embedding_dim=3)
    learner = Learner(encoder, loss)
    learner.compile(optimizer)
    return learner


def test_parts_of_a_learner_move_at_their_rates(tmp_path):
    rates = {"backbone": 0.1, "head": 2, "proxies": 10}
    moved = {}
    for name, chosen in {"one": None, "by part": rates}.items():
        learner = new_learner(tmp_path, optimizers.SGD(1e-3, rates=chosen))
        before = [variable.numpy() for variable in learner.trainable_variables]
        learner.update(IMAGES, LABELS)
        moved[name] = [np.array(new) - old for new, old in zip(learner.trainable_variables, before, strict=True)]
    factors = [0.1, 0.1, 2, 2, 10]
    for one, by_part, factor in zip(moved["one"], moved["by part"], factors, strict=True):
        assert np.abs(one).max() > 0
        np.testing.assert_allclose(by_part, factor * one, rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"backbon/": 0.1}, "optimizer.rates has 'backbon/', .* there are backbone/..., head/..., loss/..., such as"),
        ({"head": 0}, "optimizer.rates.head must be a number above 0; got 0"),
        ({"head": "fast"}, "optimizer.rates.head must be a number above 0; got 'fast'"),
    ],
)
def test_impossible_rates_are_refused(tmp_path, rates, message):
    with pytest.raises(ValueError, match=message):
        learner = new_learner(tmp_path, optimizers.SGD(1e-3, rates=rates))
        learner.optimizer.build(learner.trainable_variables)


def test_rate_of_what_does_not_train_is_refused(tmp_path):
    learner = new_learner(tmp_path, optimizers.SGD(1e-3, rates={"backbone": 0.1}), train="head")
    with pytest.raises(ValueError, match="which is in the path of nothing that trains; there are head/..., loss/..."):
        learner.optimizer.build(learner.trainable_variables)


def test_loss_scaling_keeps_the_rates(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        learner = new_learner(tmp_path, optimizers.SGD(1e-3, rates={"proxies": 10}))
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(learner.optimizer, keras.optimizers.LossScaleOptimizer)
    learner.optimizer.build(learner.trainable_variables)
    inner = learner.optimizer.inner_optimizer
    rates = [inner._rate_of(inner._var_key(variable)) for variable in learner.trainable_variables]
    assert rates == [1, 1, 1, 1, 10]


def test_saved_with_a_model_they_come_back(tmp_path):
    optimizer = optimizers.AdamW(0.1, weight_decay=0.5, rates={"kernel": 0.25})
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    for one, other in zip(after_steps(again), after_steps(optimizer), strict=True):
        np.testing.assert_array_equal(one, other)
