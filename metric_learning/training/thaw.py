"""A backbone that stands still until the head on it knows something."""

from collections.abc import Callable

from metric_learning.encoders import backbone_of
from metric_learning.encoders.backbone import all_layers
from metric_learning.training.learner import Learner


def freeze_backbone(learner: Learner) -> Callable[[], None]:
    """Freezes the backbone of the encoder for a while.

    While it is frozen, it runs as in inference and steps cost little more than those of the head.

    Returns:
        A function that makes trainable again what was.

    Raises:
        ValueError: the encoder has no backbone, or one of which nothing trains anyway; nothing else would train.
    """
    backbone = backbone_of(learner.encoder)
    if backbone is None or not backbone.trainable_variables:
        raise ValueError(
            "thaw_at needs an encoder with a backbone of which something trains; "
            "set encoder=pretrained with encoder.train=all or top:N, or thaw_at=null"
        )
    # Outer ones first, as each sets all that are in it.
    was = [(layer, layer.trainable) for layer in (backbone, backbone.model, *all_layers(backbone.model))]
    backbone.trainable = False
    if not learner.trainable_variables:
        raise ValueError("thaw_at needs a head that trains before; set encoder.embedding_dim, or thaw_at=null")

    def thaw():
        for layer, trainable in was:
            layer.trainable = trainable

    return thaw
