"""The encoder of features is the head of all encoders."""

import numpy as np
import pytest

from metric_learning import encoders


@pytest.mark.parametrize("options", [{"hidden": (7,)}, {"embedding_dim": None}, {"batch_norm": True, "dropout": 0.5}])
def test_mlp_takes_features(options):
    encoder = encoders.mlp((6,), **{"embedding_dim": 5} | options)
    embeddings = encoder(np.random.default_rng(0).normal(size=(3, 6))).numpy()
    assert embeddings.shape == (3, options.get("embedding_dim", 5) or 6) and embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-6)


def test_mlp_refuses_what_is_no_feature():
    with pytest.raises(ValueError, match="encoder=mlp takes features; got inputs of shape .*encoder=pretrained"):
        encoders.mlp((8, 8, 3))
