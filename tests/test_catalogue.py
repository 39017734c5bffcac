"""Every loss is whole: a class, a file in conf/loss, and an oracle in the tests."""

import pathlib
import re

import pytest

import miners
from metric_learning import losses

ROOT = pathlib.Path(__file__).parent.parent
LOSSES = sorted(file.stem for file in (ROOT / "conf/loss").glob("*.yaml"))
# Where the oracle of a loss is that has no test file of its own.
SHARED = {
    "separate_pairs": "intra_pair_variance snr_contrastive threshold_consistent_margin",
    "lifted_structure": "angular generalized_lifted_structure",
    "neighbors": "nca soft_nearest_neighbor",
    "pair_softmax": "decoupled_contrastive nt_xent tuplet_margin",
    "pair_weighting": "circle multi_similarity",
    "prediction_loss": """
        binary_crossentropy binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy
        categorical_hinge cosine_similarity f_beta hinge huber kl_divergence log_cosh mean_absolute_error
        mean_squared_error poisson sparse_categorical_crossentropy squared_hinge""",
}
HOMES = {loss: home for home, names in SHARED.items() for loss in names.split()}


def test_every_file_is_a_loss_and_every_loss_has_a_file(build):
    built = {name: type(build("loss", f"loss={name}", "miner=none")).__name__ for name in LOSSES}
    assert sorted(built.values()) == sorted(losses.__all__)
    assert {name: name.replace("_", "") for name in LOSSES} == {name: kind.lower() for name, kind in built.items()}
    assert set(HOMES) <= set(LOSSES)


@pytest.mark.parametrize("parent", ["TupleLoss", "DistanceLoss", "ClassLoss", "PredictionLoss", "EmbeddingLoss"])
def test_what_a_loss_of_your_own_derives_from_is_exported_and_no_choice(parent):
    assert issubclass(getattr(losses, parent), losses.EmbeddingLoss) and parent not in losses.__all__
    assert any(issubclass(getattr(losses, name), getattr(losses, parent)) for name in losses.__all__)
    assert miners.Miner.__name__ not in miners.__all__


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_compared_with_an_oracle(name):
    own = ROOT / f"tests/losses/test_{name}.py"
    assert own.exists() != (name in HOMES)
    text = (ROOT / f"tests/losses/test_{HOMES.get(name, name)}.py").read_text()
    class_name = next(each for each in losses.__all__ if each.lower() == name.replace("_", ""))
    # `agrees` compares values and gradients with a function in NumPy; a hybrid is the sum of what was so compared.
    assert re.search(rf"\b{class_name}\b", text) and ("agrees" in text or name == "hybrid")
