"""A loss in a plain `tf.function`, as a user writes one: AutoGraph has nothing to say about it."""

import logging
import pathlib

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow  # together they take a minute or so

CONF = pathlib.Path(__file__).parent.parent.parent / "conf"
CASES = [(loss.stem, "none") for loss in sorted((CONF / "loss").glob("*.yaml"))]
CASES += [("triplet", miner.stem) for miner in sorted((CONF / "miner").glob("*.yaml")) if miner.stem != "packed"]
LABELS, ROWS = tf.constant([0, 1, 2, 5, 0, 1, 2, 3]), np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)


@pytest.fixture
def warnings_of_tensorflow():
    """The list that TensorFlow's log messages go to, as text."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = tf.get_logger()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    yield messages
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.parametrize(("name", "miner"), CASES)
def test_autograph_has_nothing_to_say(build, warnings_of_tensorflow, name, miner):
    loss = build("loss", f"loss={name}", f"miner={miner}")

    @tf.function
    def value(labels, rows):
        return loss.call(labels, rows)  # of loss() Keras keeps AutoGraph out

    value.get_concrete_function(LABELS, ROWS)
    assert [message for message in warnings_of_tensorflow if "AutoGraph" in message] == []
