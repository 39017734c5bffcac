"""Every file of conf/ composes, and builds what it names; equal names are the registry."""

import pathlib

import hydra
import pytest

CONF = pathlib.Path(__file__).parent.parent / "conf"
OPTIONS = sorted(
    (path.parent.name, path.stem)
    for path in CONF.glob("*/*.yaml")
    if path.parent.name not in ("experiment", "strategy")
)
BENCHMARKS = ("cars196", "cub200", "inshop", "market1501", "stanford_online_products")
BY_TFDS = ("cifar100", "fashion_mnist", "inaturalist", "mnist", "omniglot", "tfds")
NEEDED = {
    ("class_penalty", "sparse_centers"): ["loss=soft_triple"],
    **{("data", name): ["data.root=."] for name in ("image_folder", *BENCHMARKS)},
    **{("data", name): ["data.path=table.csv"] for name in ("csv", "features", "table")},
    ("data", "tfds"): ["data.name=mnist"],
    ("encoder", "custom"): ["encoder.target=metric_learning.encoders.cnn"],
    ("encoder", "pretrained"): ["encoder.backbone=MobileNetV2", "encoder.weights=null"],
    ("encoder", "hub_text"): ["encoder.preset=folder"],
    ("encoder", "saved"): ["encoder.path=encoder.keras"],
    ("loss", "cosine"): ["distance=cosine"],
}
# Built by the tests of that part, on data, devices or workers that they make.
NOT_BUILT_HERE = {
    ("encoder", "hub_text"),
    *(("data", name) for name in ("csv", "features", "image_folder", "table", *BENCHMARKS, *BY_TFDS)),
    ("encoder", "saved"),
    *(("strategy", name) for name in ("mirrored", "multi_worker")),
}
# Given by train.py, which knows the data: to encoders of images, and to the others.
IMAGES = {"input_shape": (32, 32, 3), "vocabulary_size": None}
GIVEN = {
    ("encoder", "embedding"): {"input_shape": (9,), "vocabulary_size": 50},
    ("encoder", "mlp"): {"input_shape": (9,), "vocabulary_size": None},
}


def compose(*overrides):
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return hydra.compose("config", list(overrides))


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_option_composes_and_builds(group, name):
    cfg = compose(f"{group}={name}", *NEEDED.get((group, name), []))
    if (group, name) not in NOT_BUILT_HERE:
        given = GIVEN.get((group, name), IMAGES if group == "encoder" else {})
        built = hydra.utils.instantiate(cfg[group], _convert_="all", **given)
        assert (built is None) == (name == "none" and group in ("augmentation", "miner", "penalty", "class_penalty"))


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "experiment").glob("*.yaml")))
def test_experiment_composes(name):
    assert compose(f"experiment={name}").steps > 0


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("loss.margin=0.1", 0.1),
        ("encoder.embedding_dim=64", 64),
        ("optimizer.learning_rate.peak=0.5", 0.5),
        ("augmentation.rotation=10", 10),
    ],
)
def test_overrides_read_the_way_a_person_would_guess(override, value):
    cfg = compose(override)
    for name in override.partition("=")[0].split("."):
        cfg = cfg[name]
    assert cfg == value


@pytest.mark.parametrize(
    ("overrides", "augmentation"),
    [
        ([], "DrawingAugmentation"),
        (["data=emoji_text"], "TokenSampling"),
        (["data=image_folder"], None),
        (["data=csv"], None),
        (["experiment=fashion_mnist"], None),
        (["augmentation=none"], None),
        (["data=emoji_text", "augmentation=none"], None),
        (["data=csv", "augmentation=drawing"], "DrawingAugmentation"),
        (["augmentation=tokens", "data=csv"], "TokenSampling"),
        (["augmentation=views"], "PhotoAugmentation"),
        (["data=image_folder", "augmentation=keras"], "KerasAugmentation"),
        (["experiment=fashion_mnist", "augmentation=drawing"], "DrawingAugmentation"),
    ],
)
def test_data_chooses_an_augmentation_unless_told_another(overrides, augmentation):
    augment = hydra.utils.instantiate(compose(*overrides).augmentation, _convert_="all")
    assert (augment and type(augment).__name__) == augmentation
    assert augment is None or augment.num_randoms > 0


def test_one_distance_and_one_embedding_dim_reach_every_part_that_needs_them():
    cfg = compose("distance=euclidean", "miner=distance_weighted", "encoder.embedding_dim=9")
    assert cfg.loss.distance == cfg.evaluation.distance == cfg.loss.miner.distance == "euclidean"
    assert cfg.loss.miner.embedding_dim == 9


def test_constant_learning_rate_replaces_the_schedule():
    optimizer = hydra.utils.instantiate(compose("optimizer.learning_rate=0.25").optimizer, _convert_="all")
    assert float(optimizer.learning_rate) == 0.25
