"""The training step of every encoder and augmentation compiles under XLA with deterministic operations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import miners
from metric_learning import encoders, losses
from metric_learning.data import BatchPlan, DrawingAugmentation, Split, TokenSampling
from metric_learning.training import Learner, Loop

LABELS = np.repeat(np.arange(6), 10)
RNG = np.random.default_rng(0)
COLORS = RNG.integers(0, 256, (6, 1, 1, 3))[LABELS]
IMAGES = (COLORS + RNG.integers(-60, 60, (60, 12, 10, 3))).clip(0, 255).astype(np.uint8)
TEXTS = RNG.integers(1, 40, (60, 9)).astype(np.int32)
PARTS = {
    "images": (IMAGES, DrawingAugmentation(), lambda: encoders.cnn((12, 10, 3), widths=(4,), embedding_dim=4)),
    "images, pooled last": (
        IMAGES,
        None,
        lambda: encoders.cnn((12, 10, 3), widths=(4,), pool_first=False, embedding_dim=4),
    ),
    "texts": (TEXTS, TokenSampling(window=6), lambda: encoders.embedding((9,), vocabulary_size=40, embedding_dim=4)),
}


@pytest.fixture
def train(tmp_path):
    """`train(parts, jit_compile)`: the weights before and after four steps of the loop, and their losses."""
    tf.config.experimental.enable_op_determinism()

    def run(inputs, augment, encoder, jit_compile):
        keras.utils.set_random_seed(0)
        learner = Learner(encoder(), losses.Triplet(distance="cosine", miner=miners.SemiHard()))
        learner.compile(keras.optimizers.Adam(0.003))
        before = [variable.numpy() for variable in learner.trainable_variables]
        progress = Loop(4, validate_every=4, steps_per_block=1).run(
            learner,
            Split(inputs, LABELS, ("",) * len(LABELS)),
            BatchPlan(LABELS, classes=4, samples=3, seed=0),
            folder=tmp_path / f"compiled is {jit_compile}",
            validate=lambda: {"validation/map@r": 0.5},
            augment=augment,
            jit_compile=jit_compile,
        )
        after = [variable.numpy() for variable in learner.trainable_variables]
        return before, after, [row["train/loss"] for row in progress.history]

    return run


@pytest.mark.parametrize("parts", ["images", *(pytest.param(name, marks=pytest.mark.slow) for name in list(PARTS)[1:])])
def test_compiled_run_equals_the_one_that_is_not(train, parts):
    before, expected, expected_losses = train(*PARTS[parts], jit_compile=False)
    _, found, found_losses = train(*PARTS[parts], jit_compile=True)
    np.testing.assert_allclose(found_losses, expected_losses, atol=1e-4)
    for start, one, other in zip(before, found, expected, strict=True):
        assert np.abs(other - start).max() > 1e-3
        np.testing.assert_allclose(one, other, atol=1e-3)


class Resized:
    """An augmentation by a kernel that XLA has not."""

    num_randoms = 1

    def __call__(self, images, randoms):
        return tf.image.resize(images, images.shape[1:3], "area")


@pytest.mark.parametrize(
    ("augment", "layer", "operation"),
    [
        (None, keras.layers.MaxPooling2D, "MaxPool gradient ops do not yet have a deterministic"),
        (Resized(), keras.layers.Flatten, "ResizeArea"),
    ],
)
def test_what_xla_lacks_is_refused_before_anything_is_written(train, tmp_path, augment, layer, operation):
    def encoder():
        return keras.Sequential(
            [keras.Input(IMAGES.shape[1:]), keras.layers.Conv2D(2, 3), layer(), keras.layers.Flatten()]
        )

    with pytest.raises(ValueError, match=f"^XLA cannot compile this training step .*{operation}.*jit_compile=false$"):
        train(IMAGES, augment, encoder, jit_compile=True)
    assert not any(tmp_path.iterdir())
