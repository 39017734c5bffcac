"""A configuration is checked as a whole: of every setting the kind, and of all code that it names the origin."""

import importlib
import pathlib
import re

import hydra
import pytest
from omegaconf import OmegaConf

from metric_learning import answers
from metric_learning.settings import OWN, check_settings, check_targets

CONF = pathlib.Path(__file__).parent.parent / "conf"
OPTIONS = [f"{path.parent.name}={path.stem}" for path in sorted(CONF.glob("*/*.yaml"))]


def settings(*overrides):
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = hydra.compose("config", list(overrides))
    return OmegaConf.to_container(cfg, resolve=True)


def check(*overrides):
    shipped = OmegaConf.to_container(answers.shipped(list(overrides)), resolve=True)
    check_settings(settings(*overrides), shipped)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("batch.classes=abc", "batch.classes must be a whole number; got 'abc'"),
        ("batch.classes=2.5", "batch.classes must be a whole number; got 2.5"),
        ("batch.classes=true", "batch.classes must be a whole number; got True"),
        ("batch.classes=null", "batch.classes must be a whole number; got null"),
        ("batch=3", "batch must be settings of its own; got 3"),
        ("evaluation.ks=[1.5]", "evaluation.ks must be a whole number; got 1.5"),
        ("evaluation.ks=[1,2,4,8,abc]", "evaluation.ks must be a whole number; got 'abc'"),
        ("evaluation.ks=5", "evaluation.ks must be a list, as .a,b.; got 5"),
        ("optimizer.clipnorm=abc", "optimizer.clipnorm must be a number above 0; got 'abc'"),
        ("optimizer.clipnorm=-1", "optimizer.clipnorm must be a number above 0; got -1"),
        ("optimizer.clipnorm=0", "optimizer.clipnorm must be a number above 0; got 0"),
        ("optimizer.clipnorm=[1.0]", "optimizer.clipnorm must be a number above 0; got .1.0."),
        ("optimizer.clipnorm=nan", "optimizer.clipnorm must be finite; got nan"),
        ("+optimizer.clipvalue=-1", "optimizer.clipvalue must be a number above 0; got -1"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate must be finite; got nan"),
        ("optimizer.learning_rate=-0.1", "optimizer.learning_rate must be a number above 0; got -0.1"),
        ("optimizer.learning_rate.peak=inf", "optimizer.learning_rate.peak must be finite; got inf"),
        ("loss.margin=inf", "loss.margin must be finite; got inf"),
        ("loss.margin=abc", "loss.margin must be a number; got 'abc'"),
        ("+loss.new=-inf", "loss.new must be finite; got -inf"),
        ("loss.soft=3", "loss.soft must be true or false; got 3"),
        ("miner=batch_easy_hard miner.positive_range=[0,nan]", "miner.positive_range must be finite; got nan"),
        ("data=image_folder data.root=3", "data.root must be text, in quotes if .*; got 3"),
        ("data=image_folder data.skip_unreadable=abc", "data.skip_unreadable must be true or false; got 'abc'"),
        ("encoder.hidden=[abc]", "encoder.hidden must be a whole number; got 'abc'"),
        ("patience=soon", "patience must be a whole number; got 'soon'"),
        ("tracking.tags=[1]", "tracking.tags must be text, .*; got 1"),
        ("precision=null", "precision must be text, .*; got null"),
    ],
)
def test_a_setting_of_another_kind_is_named(overrides, message):
    with pytest.raises(ValueError, match=message):
        check(*overrides.split())


@pytest.mark.parametrize(
    "overrides",
    [
        "loss.margin=1 optimizer.learning_rate=0.25 optimizer.clipnorm=1 patience=3",
        "optimizer.learning_rate.peak=1 encoder.hidden=[64,32] encoder.widths=[4] evaluation.ks=[1]",
        "data=csv data.path=a.csv data.image_size=[8,8] data.text=name data.split=null miner=none loss.miner=null",
        "data=image_folder data.image_size=32",
        "experiment=fashion_mnist data.manual_dir=x data.unseen_classes=true",
        "loss=quadruplet loss.adaptive_weights=[1,0.5] tracking.tags=[a,b] augmentation=none",
        "loss=sphere_face loss.softening_start=null",
        "encoder=pretrained encoder.backbone=a.keras encoder.weights=null encoder.embedding_dim=null",
        "optimizer.rates={backbone:0.1,proxies:10} augmentation=photo augmentation.size=[24,24]",
        "augmentation=keras augmentation.layers=[{_target_:keras.layers.RandomZoom,height_factor:[0.1,0.2]}]",
        "loss=recall_at_k loss.k=4",
        "miner=schedule miner@miner.first=easy_positive miner.begin=5",
        "+optimizer.clipvalue=0.5 +optimizer.ema_momentum=0.9",
    ],
)
def test_what_a_person_may_set_passes(overrides):
    check(*overrides.split())


def test_settings_in_a_list_are_checked_too():
    with pytest.raises(ValueError, match="losses.0.weight must be a number; got 'abc'"):
        check_settings({"losses": [{"weight": "abc"}]}, {"losses": [{"weight": 1.0}, {"weight": 2.0}]})


@pytest.mark.parametrize("option", OPTIONS)
def test_all_that_ships_passes(option):
    loss = ["loss=soft_triple"] if option == "class_penalty=sparse_centers" else []
    found = settings(option, *loss)
    check_settings(found, found)
    check_targets(found)


@pytest.mark.parametrize(
    "target",
    [
        *("os.system", "builtins.exec", "subprocess.run", "mynet.build", "metric_learningx.losses.Triplet"),
        *("metric_learning.run_folder.write_whole", "metric_learning.tracking.os.system", "miners.miner.os.system"),
        *("keras.utils.get_file", "keras.models.load_model", "keras.saving.load_model", "keras.optimizers.deserialize"),
        *("keras.layers.Lambda", "keras.layers.TFSMLayer", "keras.layers.TorchModuleWrapper"),
        *("keras.config.enable_unsafe_deserialization", "tensorflow.io.gfile.remove", "tensorflow.saved_model.load"),
    ],
)
@pytest.mark.parametrize("where", ["loss", "deep", "list", "custom"])
def test_code_from_elsewhere_is_refused_wherever_it_hides(target, where):
    node = {"_target_": target, "command": "true"}
    hidden = {
        "loss": {"loss": node},
        "deep": {"loss": {"_target_": "metric_learning.losses.Triplet", "miner": node}},
        "list": {"loss": {"losses": [{"weight": 1.0}, {"loss": node}]}},
        "custom": {"encoder": {"_target_": "metric_learning.encoders.custom", "target": target}},
    }[where]
    with pytest.raises(ValueError, match=f"is {re.escape(target)}, which is not code of this project"):
        check_targets(hidden)
    check_targets(hidden, trusted=[target.split(".")[0]])
    with pytest.raises(ValueError, match="not code of this project"):
        check_targets(hidden, trusted=[target[:-1]])


def test_names_of_this_project_lead_to_nothing_but_its_own_code():
    """Else a configuration could reach what a module imports."""
    for part in (path for path in (CONF.parent / "metric_learning").iterdir() if not path.name.startswith("_")):
        module = importlib.import_module(f"metric_learning.{part.stem}")
        for name, value in vars(module).items():
            if callable(value) and OWN.fullmatch(f"metric_learning.{part.stem}.{name}"):
                origin = getattr(value, "__module__", None) or type(value).__module__
                assert origin.startswith(("metric_learning", "keras", "tensorflow", "typing")), (part.stem, name)
