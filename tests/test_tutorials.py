"""Every block of docs/from_tutorials.md runs, and Keras itself gives the values that tutorials print."""

import pathlib
import re

import keras
import numpy as np
import pytest

PAGE = pathlib.Path(__file__).parent.parent / "docs/from_tutorials.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
TOPICS = ["reduction=", "ops.square", "layers.Embedding(", "[B]", "ops.split", "f_beta_loss", "add_loss", "Packed("]

# What tutorials print: the loss, targets, predictions, value. tests/losses/test_on_predictions.py has ours.
VALUES = {
    "binary cross-entropy": (
        keras.losses.BinaryCrossentropy(from_logits=True),
        [1, 0, 1, 1],
        [-5.4, 8.7, -1.2, -4.6],
        5.04449,
    ),
    "categorical": (
        keras.losses.CategoricalCrossentropy(),
        [[0, 1, 0], [0, 0, 1]],
        [[0.05, 0.95, 0], [0.1, 0.8, 0.1]],
        1.176939,
    ),
    "sparse": (
        keras.losses.SparseCategoricalCrossentropy(),
        [1, 2],
        [[0.05, 0.95, 0], [0.1, 0.8, 0.1]],
        1.176939,
    ),
    "poisson": (keras.losses.Poisson(), [[0, 1], [0, 0]], [[1, 1], [0, 0]], 0.5),
    "poisson, summed": (keras.losses.Poisson(reduction="sum"), [[0, 1], [0, 0]], [[1, 1], [0, 0]], 1.0),
    "kl divergence": (keras.losses.KLDivergence(), [[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]], 0.458143),
    "huber": (keras.losses.Huber(delta=1.0), [[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]], 0.155),
    "absolute": (keras.losses.MeanAbsoluteError(), [[0, 1], [0, 0]], [[1, 1], [1, 0]], 0.5),
    "squared": (keras.losses.MeanSquaredError(), [[0, 1], [0, 0]], [[1, 1], [0, 0]], 0.25),
    "log-cosh": (keras.losses.LogCosh(), [[0, 1], [0, 0]], [[1, 1], [0, 0]], 0.108445),
    "cosine": (keras.losses.CosineSimilarity(axis=1), [[0, 1], [1, 1]], [[1, 0], [1, 1]], -0.5),
}


@pytest.mark.parametrize(("loss", "y_true", "y_pred", "value"), VALUES.values(), ids=VALUES)
def test_keras_gives_the_values_of_tutorials(loss, y_true, y_pred, value):
    got = loss(np.array(y_true, np.float32), np.array(y_pred, np.float32))
    np.testing.assert_allclose(got, value, rtol=2e-6, atol=2e-6)


def test_the_page_has_every_snippet():
    code = "\n".join(BLOCKS)
    assert [topic for topic in TOPICS if topic not in code] == []


def test_every_block_runs_and_shows_something(capsys):
    keras.utils.set_random_seed(0)
    namespace = {"__name__": "from_tutorials"}
    for number, block in enumerate(BLOCKS):
        assert number == 0 or re.search(r"assert|print", block), f"block {number} shows nothing"
        line = PAGE.read_text()[: PAGE.read_text().index(block)].count("\n")
        exec(compile("\n" * line + block, str(PAGE), "exec"), namespace)  # so that errors name the line of the page
    printed = re.findall(r"([a-z ]+): ([0-9.]+)", capsys.readouterr().out)
    assert [name for name, _ in printed] == ["sure and wrong", "triplets of the batch"]
    # The wrong logit costs 100, a quarter of it with alpha; 1 - 1.21 + .2 is no loss, and 1 - .01 + .2 is one.
    np.testing.assert_allclose([float(value) for _, value in printed], [25.0, 1.19 / 2], rtol=1e-5)
