"""Keras' optimizers with a learning rate for each part of a model, and weight decay for matrices alone."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

if TYPE_CHECKING:  # the optimizer that comes after it among the bases
    from keras.optimizers import Optimizer as _Optimizer
else:
    _Optimizer = object


class ByPart(_Optimizer):
    """Comes before an optimizer of Keras among the bases of a class.

    Args:
        rates: pattern -> factor of the learning rate, and so of the weight decay, of the variables whose paths have it,
            such as {"backbone": 0.1, "proxies": 10}; of several patterns the last counts. The patterns are regular
            expressions of whole parts of a path: "head" is in `head/dense/kernel` and not in
            `backbone/multi_head_attention/kernel`, which "multi_head.*" is in; "^head" is the first part alone. The
            paths begin with `backbone/`, `head/` for the rest of an encoder, and `loss/`, with `loss/proxies/` for
            learned vectors of classes. None: one rate for all.
        **options: of the optimizer. Its `weight_decay` spares biases, scales and shifts of norms, and numbers.

    Raises:
        ValueError: a factor that is not above 0; once the variables are known, a pattern that none of them has.
    """

    def __init__(self, *arguments: Any, rates: Mapping[str, float] | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # A tuple, as Keras would wrap a dictionary.
        self.rates = tuple((rates or {}).items())
        for pattern, rate in self.rates:
            if not isinstance(rate, (int, float)) or not rate > 0:
                raise ValueError(f"optimizer.rates.{pattern} must be a number above 0; got {rate!r}")
        self._path_of = lambda variable: variable.path

    def name_variables(self, paths: Mapping[int, str]) -> None:
        """Says what the variables are called in `rates`: id of a Keras variable -> path."""
        self._path_of = lambda variable: paths.get(id(variable), variable.path)

    def build(self, variables: list[keras.Variable]) -> None:
        if not self.built:
            paths = [self._path_of(variable) for variable in variables]
            for pattern, _ in self.rates:
                if paths and not any(_is_in(pattern, path) for path in paths):
                    tops = dict.fromkeys(path.partition("/")[0] for path in paths)
                    raise ValueError(
                        f"optimizer.rates has {pattern!r}, which is in the path of nothing that trains; "
                        f"there are {', '.join(f'{top}/...' for top in tops)}, such as {paths[0]} and {paths[-1]}"
                    )
            rates = [([1.0] + [rate for pattern, rate in self.rates if _is_in(pattern, path)])[-1] for path in paths]
            keys = [self._var_key(variable) for variable in variables]
            self._rate_of = dict(zip(keys, rates, strict=True)).get
        super().build(variables)

    def _apply_weight_decay(self, variables):
        """Nothing: `update_step`, which knows the rate, does it."""

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        rate = self._rate_of(self._var_key(variable), 1.0)
        if rate != 1.0:
            learning_rate = learning_rate * rate
        if self.weight_decay is not None and len(variable.shape) > 1 and self._use_weight_decay(variable):
            decay = keras.ops.cast(self.weight_decay, variable.dtype) * keras.ops.cast(learning_rate, variable.dtype)
            self.assign_sub(variable, variable * decay)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rates": dict(self.rates)}


def _is_in(pattern, path):
    return re.search(rf"(?:^|(?<=/))(?:{pattern})(?:$|(?=/)|(?<=/))", path) is not None


@keras.saving.register_keras_serializable(package="metric_learning")
class Adam(ByPart, keras.optimizers.Adam):
    """keras.optimizers.Adam, see `ByPart`."""


@keras.saving.register_keras_serializable(package="metric_learning")
class AdamW(ByPart, keras.optimizers.AdamW):
    """keras.optimizers.AdamW, see `ByPart`."""


@keras.saving.register_keras_serializable(package="metric_learning")
class SGD(ByPart, keras.optimizers.SGD):
    """keras.optimizers.SGD, see `ByPart`."""
