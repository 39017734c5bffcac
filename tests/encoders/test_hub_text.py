"""Text backbones through KerasHub: a tiny BERT of random weights, made here, from texts to embeddings."""

import csv
import json
import pathlib
import subprocess
import sys

import hydra
import keras
import numpy as np
import pytest
import tensorflow as tf

import metric_learning
import train as program
from metric_learning import encoders
from metric_learning.encoders import tokenizer_of
from metric_learning.encoders.hub_text import _word_pieces
from metric_learning.evaluation import embed
from metric_learning.tokenized import tokenized

CONF = pathlib.Path(__file__).parents[2] / "conf"
WORDS = "dove peace bird fly olive branch cat mouse dog bone tree leaf sun moon".split()
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "##s", "creme", ",", "!"]
TEXTS = np.array(["Dove, peace!", "cats", "", "olive branch nonsense tree leaf sun moon dog bone", "Crème"])
IDS = [[2, 5, 21, 6, 22, 3, 0, 0], [2, 11, 19, 3, 0, 0, 0, 0], [2, 3, 0, 0, 0, 0, 0, 0], [2, 9, 10, 1, 15, 16, 17, 3]]
IDS.append([2, 20, 3, 0, 0, 0, 0, 0])


def test_without_its_packages_it_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ValueError, match=r"needs more packages .* pip install .*\[hub\]"):
        encoders.hub_text((9,), vocabulary_size=9, preset="anything")


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("keras_hub")


@pytest.fixture(scope="module")
def preset(hub, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset")
    keras.utils.set_random_seed(0)
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 12}
    backbone = hub.models.BertBackbone(vocabulary_size=len(PIECES), **sizes)
    for weight in backbone.weights:  # far from each other, as trained ones are
        weight.assign(np.random.default_rng(len(weight.path)).normal(scale=0.5, size=weight.shape).astype(np.float32))
    backbone.save_to_preset(str(folder))
    hub.models.BertTokenizer(PIECES, lowercase=True, strip_accents=True).save_to_preset(str(folder))
    return folder


@pytest.fixture
def encoder(preset):
    keras.utils.set_random_seed(1)
    return encoders.hub_text((9,), vocabulary_size=9, preset=str(preset), length=8, embedding_dim=None)


def test_texts_become_the_tokens_of_the_backbone_between_its_marks(encoder):
    np.testing.assert_array_equal(tokenizer_of(encoder).tokens(TEXTS), IDS)


@pytest.mark.parametrize("pooling", ["avg", "max", "first"])
def test_embeddings_are_the_pooled_states_of_the_backbone(hub, preset, pooling):
    encoder = encoders.hub_text(
        (9,), vocabulary_size=9, preset=str(preset), length=8, pooling=pooling, embedding_dim=None
    )
    backbone = hub.models.Backbone.from_preset(str(preset))
    found = embed(encoder, TEXTS)
    for row, ids in enumerate(IDS):
        own = np.array([[key for key in ids if key]])  # alone, without any padding
        states = backbone({"token_ids": own, "segment_ids": 0 * own, "padding_mask": 0 * own + 1})["sequence_output"]
        states = states.numpy()[0].astype(float)
        pooled = {"avg": states.mean(0), "max": states.max(0), "first": states[0]}[pooling]
        np.testing.assert_allclose(found[row], pooled / np.linalg.norm(pooled), atol=1e-5)


def test_the_tokens_of_a_hugging_face_folder_are_those_of_its_own_library(hub, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "lowercase": True}
    described = {
        "version": "1.0",
        "normalizer": normalizer | {"strip_accents": None},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {
            **{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"},
            **{"max_input_chars_per_word": 100, "vocab": {piece: i for i, piece in enumerate(PIECES)}},
        },
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(described), encoding="utf-8")
    theirs, ours = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json")), _word_pieces(tmp_path)
    for text in TEXTS.tolist():
        assert [int(key) for key in ours(text)] == theirs.encode(text).ids


@pytest.mark.parametrize(
    ("train", "trained"), [("head", []), ("top:1", [1]), ("top:2", [0, 1]), ("all", [0, 1, "embedding"])]
)
def test_what_trains_is_what_was_asked_for(preset, train, trained):
    encoder = encoders.hub_text((9,), vocabulary_size=9, preset=str(preset), length=8, train=train, embedding_dim=4)
    paths = " ".join(weight.path for weight in encoder.trainable_variables)
    for block in (0, 1):
        assert (f"transformer_layer_{block}/" in paths) == (block in trained)
    assert ("token_embedding" in paths) == ("embedding" in trained) and "pooled" not in paths
    model = encoder.layers[-1]
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(np.array(IDS), training=True) ** 3)
    assert all(gradient is not None for gradient in tape.gradient(total, encoder.trainable_variables))


@pytest.mark.slow
def test_saved_it_takes_texts_in_a_process_that_knows_nothing_of_it(encoder, tmp_path):
    encoder.save(tmp_path / "encoder.keras")
    program = (
        "import json, sys, keras, numpy as np, metric_learning\n"
        "from metric_learning.evaluation import embed\n"
        "encoder = keras.models.load_model(sys.argv[1])\n"
        "print(json.dumps(embed(encoder, np.array(json.loads(sys.argv[2]))).tolist()))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "encoder.keras"), json.dumps(TEXTS.tolist())]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    np.testing.assert_allclose(json.loads(printed.splitlines()[-1]), embed(encoder, TEXTS), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("train", ["head", "top:1"])
def test_a_run_learns_on_token_ids_and_saves_what_takes_texts(preset, script, tmp_path, train):
    rows = [(f"{word} {WORDS[i - j]} {WORDS[i - 1]}", word) for i, word in enumerate(WORDS) for j in range(2, 6)]
    with open(tmp_path / "texts.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    settings = [
        *("data=table", f"data.path={tmp_path}/texts.csv", "encoder=hub_text", f"encoder.preset={preset}"),
        *("encoder.length=8", f"encoder.train={train}", "batch.classes=3", "batch.samples=2", "penalty=l1"),
    ]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        few = ["steps=4", "evaluation.every=2", "evaluation.ks=[1,2]", "tracking=none", "encoder.embedding_dim=4"]
        cfg = hydra.compose("config", [*settings, *few])
    assert program.experiment(cfg, tmp_path / "run", resume=False) > 0.0
    saved = keras.models.load_model(tmp_path / "run" / "encoder.keras")
    found = embed(saved, TEXTS)
    assert found.shape == (5, 4)
    np.testing.assert_array_equal(metric_learning.load(tmp_path / "run").embed(TEXTS.tolist()), found)
    again = script("evaluate", f"run={tmp_path}/run")
    assert again.returncode == 0 and "the same, to the last digit" in again.stdout, again.stderr
    other = script("evaluate", f"run={tmp_path}/run", *settings[:2], "split=all")
    assert other.returncode == 0 and "recall@1" in other.stdout, other.stderr


def test_the_data_is_tokenized_once_and_other_encoders_get_it_as_it_is(encoder):
    class Source:
        splits = {"train": None}

    plain = encoders.embedding((9,), vocabulary_size=9, embedding_dim=4)
    source = Source()
    assert tokenized(plain, source) == (plain, source)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary_size": None}, "encoder=hub_text takes texts"),
        ({"preset": "./nowhere"}, "encoder.preset must be a folder or a name of KerasHub; there is no folder nowhere"),
        ({"length": 13}, "encoder.length must be from 3 to 12; got 13"),
        ({"train": "top:3"}, "train=top:N must have N from 1 to 2"),
        ({"train": "some"}, "train must be head, all, or top:N"),
        ({"pooling": "gem"}, "pooling must be"),
    ],
)
def test_what_cannot_be_is_refused(preset, options, message):
    given = {"vocabulary_size": 9, "preset": str(preset), "length": 8} | options
    with pytest.raises(ValueError, match=message):
        encoders.hub_text((9,), **given)


def test_a_folder_of_something_else_is_refused(hub, tmp_path):
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"encoder\.preset=.* cannot be loaded by KerasHub"):
        encoders.hub_text((9,), vocabulary_size=9, preset=str(tmp_path))
