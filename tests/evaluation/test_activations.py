"""What a batch takes, reckoned from the graph, is what it takes."""

import subprocess
import sys
import textwrap

import keras
import pytest
import tensorflow as tf

from metric_learning.evaluation import activations
from metric_learning.evaluation.activations import peak_bytes, rows_within


def graph_of(function, *shape, dtype=tf.float32):
    return tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec([None, *shape], dtype)).graph


def test_peak_of_a_chain_is_where_two_neighbors_are_largest():
    def narrow_wide_narrow(x):  # rows of 10, 40, 30 and 5 numbers, of 4 bytes
        return tf.matmul(tf.matmul(tf.matmul(x, tf.ones([10, 40])), tf.ones([40, 30])), tf.ones([30, 5]))

    assert peak_bytes(graph_of(narrow_wide_narrow, 10)) == 4 * (40 + 30)


def test_what_a_shortcut_needs_is_held_meanwhile():
    def block(x):
        wide = tf.matmul(x, tf.ones([10, 50]))
        return wide + tf.matmul(tf.matmul(wide, tf.ones([50, 20])), tf.ones([20, 50]))

    # What is added, and the sum.
    assert peak_bytes(graph_of(block, 10)) == 4 * (50 + 50 + 50)


def test_half_precision_takes_half():
    def double(x):
        return tf.matmul(x, tf.ones([10, 50], x.dtype))

    assert 2 * peak_bytes(graph_of(double, 10, dtype=tf.float16)) == peak_bytes(graph_of(double, 10))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_looks_into_functions_that_are_called(jit_compile):
    @tf.function(jit_compile=jit_compile)
    def inner(x):
        return tf.reduce_sum(tf.matmul(x, tf.ones([10, 1000])), axis=1, keepdims=True)

    assert peak_bytes(graph_of(lambda x: 2.0 * inner(x), 10)) >= 4000


def test_windows_of_a_convolution_in_groups_count():
    images = keras.Input((8, 8, 6))
    plain = keras.Model(images, keras.layers.Conv2D(6, 3, padding="same")(images))
    groups = keras.Model(images, keras.layers.Conv2D(6, 3, padding="same", groups=6)(images))
    more = peak_bytes(graph_of(groups, 8, 8, 6)) - peak_bytes(graph_of(plain, 8, 8, 6))
    assert more >= 4 * 8 * 8 * 6 * 3 * 3


def test_weights_and_whatever_else_does_not_grow_do_not_count():
    assert peak_bytes(graph_of(lambda x: x + tf.reduce_sum(tf.ones([1000, 1000])), 10)) <= 4 * 20


def test_rows_that_fit(monkeypatch):
    monkeypatch.setattr(activations, "peak_bytes", lambda graph: 100)
    for memory, rows in ((0, 1), (249, 1), (5 * 250, 5), (8 * 250, 8), (31 * 250, 24), (1e9, 4_000_000)):
        assert rows_within(memory, None, 10) == rows


MEASURE = """
    import sys, threading, time
    import numpy as np
    import keras
    from metric_learning.evaluation import embed

    def taken():
        return int(open("/proc/self/statm").read().split()[1]) * 4096

    name, size, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    encoder = getattr(keras.applications, name)(
        weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3)
    )
    images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.uint8)
    embed(encoder, images[:1])
    before = most = taken()

    def watch():
        global most
        while True:
            most = max(most, taken())
            time.sleep(0.002)

    threading.Thread(target=watch, daemon=True).start()
    embed(encoder, images)
    print(most - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("MobileNetV2", 130), ("VGG16", 30), ("ConvNeXtTiny", 24)])
def test_large_encoder_embeds_within_a_gigabyte_and_a_half(name, count):
    command = [sys.executable, "-c", textwrap.dedent(MEASURE), name, "224", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert 0.2e9 < int(done.stdout.split()[-1]) < 1.5e9
