"""SphereFace: large-margin softmax with class vectors of unit length."""

import keras
import tensorflow as tf

from metric_learning.losses.large_margin_softmax import LargeMarginSoftmax, lengths_of


@keras.saving.register_keras_serializable(package="metric_learning")
class SphereFace(LargeMarginSoftmax):
    """Classification by angle, in which the angle to the own class counts several times.

    The loss of `LargeMarginSoftmax`, with class vectors of unit length (the A-Softmax of the paper): the cross-entropy
    of the logits

        scale |x| f(t_y)   of the own class, and   scale |x| cos t_c   of the others

    Differs from the paper: `scale`, which is 1 there; see `LargeMarginSoftmax`.

    Args:
        margin: a whole number from 1, m; the paper's is 4.
        scale: above 0; 1 in the paper, whose embeddings grow as long as they need. Embeddings of unit length, as the
            encoders here give, need one like that of `CosFace`.
        softening: at least 0, lambda; see `LargeMarginSoftmax`. 5 at the end of training in the authors' code.
        softening_start: lambda at step 0, or None for no schedule; 1000 in the authors' code.
        softening_decay: at least 0; 0.12 in the authors' code.
        num_classes: see `ClassLoss`.
        embedding_dim: see `ClassLoss`.
        reduction: as in Keras.
        name: as in Keras.

    Returns:
        [B] from `call`.

    Raises:
        ValueError: margin no whole number from 1, scale not above 0, another number below 0.
        RuntimeError: a schedule outside of training; see `metric_learning.steps`.

    Example:
        >>> loss = SphereFace(margin=2, num_classes=2, embedding_dim=2)
        >>> _ = loss.layers[0].vectors.assign([[1.0, 1.0], [0.0, 2.0]])
        >>> round(float(loss([0], [[1.0, 0.0]])), 4)  # t = 45 degrees, psi = cos 90 = 0: -log(e^0 / (e^0 + e^0))
        0.6931

    Reference: Liu, Wen, Yu, Li, Raj, Song, "SphereFace: Deep Hypersphere Embedding for Face Recognition", CVPR 2017,
    eq. 7, https://arxiv.org/abs/1704.08063.
    """

    def lengths(self, embeddings: tf.Tensor, class_vectors: tf.Tensor) -> tf.Tensor:
        return lengths_of(embeddings)[:, None]
