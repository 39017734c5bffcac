"""An encoder and its loss as one Keras model: what is trained, saved and restored together."""

import contextlib
from typing import Any, Self

import keras
import tensorflow as tf

from metric_learning.encoders import backbone_of
from metric_learning.labels import as_labels, label_array
from metric_learning.optimizers import sum_repeated_ids
from metric_learning.steps import at_step
from metric_learning.training.weight_average import WeightAverage


@keras.saving.register_keras_serializable(package="metric_learning")
class Learner(keras.Model):
    """Trains an encoder by a loss on its embeddings.

    `learner.compile(optimizer)` and `learner.fit(inputs, labels)` are all it takes on one machine;
    `metric_learning.training.loop` drives the same step under any `tf.distribute` strategy.

    Under a strategy the embeddings and labels of all replicas are gathered and every replica computes the loss of the
    whole batch, so n replicas make the update that one would make with all of it.

    Args:
        encoder: keras.Model from inputs to [B, D].
        loss: a `metric_learning.losses` object. What it learns, `loss.layers`, belongs to this model from here on, so
            the optimizer and every checkpoint see it.
        ema: momentum of a moving average of the encoder's weights, see `WeightAverage` and `averaged`; None for none.
    """

    def __init__(self, encoder: keras.Model, loss: keras.losses.Loss, ema: float | None = None, **kwargs: Any) -> None:
        if loss.reduction in (None, "none"):
            raise ValueError(f"the loss of a Learner must be reduced to a scalar; got reduction={loss.reduction!r}")
        super().__init__(**kwargs)
        self.encoder = encoder
        self.embedding_loss = loss
        self.loss_layers = list(loss.layers)
        self.average = None if ema is None else WeightAverage(encoder.variables, ema)
        self.mean_loss = keras.metrics.Mean(name="loss")
        self.mean_active = keras.metrics.Mean(name="active_fraction")

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        parts = {"encoder": serialize(self.encoder), "loss": serialize(self.embedding_loss)}
        return {"name": self.name, **parts, "ema": None if self.average is None else self.average.momentum}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        parts = {name: keras.saving.deserialize_keras_object(config.pop(name)) for name in ("encoder", "loss")}
        return cls(**parts, **config)

    def get_compile_config(self) -> dict[str, Any]:
        return {"optimizer": keras.saving.serialize_keras_object(self.optimizer)}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(keras.saving.deserialize_keras_object(config["optimizer"]))
        self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self.mean_loss, self.mean_active]

    def compile(self, optimizer: str | keras.optimizers.Optimizer = "adam", **kwargs: Any) -> None:
        """As in Keras, without `loss`, which the learner has."""
        if kwargs.get("loss") is not None:
            raise ValueError("the Learner has its loss already: give it to Learner(encoder, loss), not to compile")
        if hasattr(optimizer, "name_variables"):
            optimizer.name_variables(self._variable_paths())
        super().compile(optimizer=optimizer, **kwargs)

    def _variable_paths(self):
        """What `optimizers.ByPart` calls the variables: id -> path."""
        backbone = backbone_of(self.encoder)
        frozen_or_not = [] if backbone is None else backbone.variables
        paths = {id(variable): f"head/{variable.path}" for variable in self.encoder.variables}
        paths |= {id(variable): f"backbone/{variable.path}" for variable in frozen_or_not}
        for layer in self.loss_layers:
            for variable in layer.variables:
                kind = "loss/proxies" if len(variable.shape) > 1 else "loss"
                paths[id(variable)] = f"{kind}/{variable.path}"
        return paths

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if not self.encoder.built:
            self.encoder.build(input_shape)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.encoder(inputs, training=training)

    def fit(self, x: Any = None, y: Any = None, *arguments: Any, validation_data: Any = None, **options: Any) -> Any:
        """As in Keras, of labels `y` that Keras does not take too: lists, and NumPy's strings."""
        if validation_data is not None:
            options["validation_data"] = _readable(validation_data)
        return super().fit(x, _labels(y), *arguments, **options)

    def evaluate(self, x: Any = None, y: Any = None, *arguments: Any, **options: Any) -> Any:
        """As in Keras; see `fit`."""
        return super().evaluate(x, _labels(y), *arguments, **options)

    def train_on_batch(self, x: Any, y: Any = None, *arguments: Any, **options: Any) -> Any:
        """As in Keras; see `fit`."""
        return super().train_on_batch(x, _labels(y), *arguments, **options)

    def test_on_batch(self, x: Any, y: Any = None, *arguments: Any, **options: Any) -> Any:
        """As in Keras; see `fit`."""
        return super().test_on_batch(x, _labels(y), *arguments, **options)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        loss, active_fraction = self.update(inputs, labels, sample_weight)
        self.mean_loss.update_state(loss)
        self.mean_active.update_state(active_fraction)
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        loss, active_fraction = self.losses_of(self(inputs, training=False), labels, sample_weight)
        self.mean_loss.update_state(loss)
        self.mean_active.update_state(active_fraction)
        return self.get_metrics_result()

    def update(
        self, inputs: tf.Tensor, labels: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """One optimizer step; to be called in a replica context.

        Args:
            inputs: this replica's part of the batch.
            labels: [b] integers or strings, or [b, C] multi-hot or graded.
            sample_weight: [b] or None.

        Returns:
            Scalars of the whole batch: the loss, and the share of the anchors whose loss is above 0. Keras keeps the
            penalties that layers add in one list for all replicas of a process, so the value, but not its gradient,
            has those on embeddings once for each replica.
        """
        with tf.GradientTape() as tape:
            embeddings = self(inputs, training=True)
            loss, active_fraction = self.losses_of(embeddings, labels, sample_weight)
            # Every replica holds the loss of the whole batch, and the optimizer adds up their gradients.
            scaled = self.optimizer.scale_loss(loss / tf.distribute.get_strategy().num_replicas_in_sync)
        gradients = sum_repeated_ids(tape.gradient(scaled, self.trainable_variables), self.optimizer)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        if self.average is not None:
            self.average.update(self.encoder.variables, self.optimizer.iterations)
        return loss, active_fraction

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """A context in which the encoder has its average weights, to be judged or saved; without `ema`, its own."""
        if self.average is None:
            return contextlib.nullcontext()
        return self.average.in_place_of(self.encoder.variables)

    def losses_of(
        self, embeddings: tf.Tensor, labels: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of the whole batch, penalties included, and its active fraction, from this replica's part."""
        if [id(layer) for layer in self.embedding_loss.layers] != [id(layer) for layer in self.loss_layers]:
            raise ValueError(
                "the loss was built after the Learner was made, which so would not train what it learns; "
                "call loss.build(...) first, then Learner(encoder, loss)"
            )
        embeddings, labels, sample_weight = (_gather(part) for part in (embeddings, labels, sample_weight))
        with at_step(self.optimizer.iterations):
            values = self.embedding_loss.call(labels, embeddings)
        loss = self.embedding_loss.reduce(values, sample_weight)
        if self.embedding_loss.reduction != "sum":
            # Keras divides a mean by the replicas, for losses of a replica's own part.
            loss *= tf.distribute.get_strategy().num_replicas_in_sync
        # Comparisons with NaN are false, so a miner may drop the rows of a broken encoder and the loss look solved.
        loss = tf.where(tf.reduce_all(tf.math.is_finite(embeddings)), loss, float("nan"))
        active_fraction = tf.reduce_mean(tf.cast(values > 0.0, tf.float32))
        return tf.add_n([loss, *(tf.cast(penalty, tf.float32) for penalty in self.losses)]), active_fraction


def _labels(y):
    """Labels in a form that Keras takes, columns as [n], since shapes that change would make it forget their rank."""
    if y is None:
        return None
    return as_labels(y) if tf.is_tensor(y) else label_array(y)


def _readable(data):
    """`validation_data` with such labels, where they stand beside the inputs."""
    return (data[0], _labels(data[1]), *data[2:]) if isinstance(data, tuple | list) else data


def _gather(part):
    """The rows of all replicas, in their order, with gradients flowing back to each."""
    context = tf.distribute.get_replica_context()
    if part is None or context is None or context.num_replicas_in_sync == 1:
        return part
    # The identity gives a device to tensors that come straight from an iterator, which all_gather needs.
    gathered = context.all_gather(tf.identity(part), axis=0)
    # It forgets the width, which losses of class vectors ask for.
    return tf.ensure_shape(gathered, [None, *part.shape[1:]])
