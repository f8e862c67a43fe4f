"""Adafactor: an optimizer whose state is far smaller than the model."""

import keras
from keras import ops

from keras_transformer.keras_patches import variable_index


@keras.saving.register_keras_serializable(package="keras_transformer")
class RelativeStep(keras.optimizers.schedules.LearningRateSchedule):
    """`min(0.01, t^-0.5)`, steps counted from 1: how far Adafactor goes by itself."""

    def __call__(self, step):
        step = ops.cast(step, "float32") + 1.0  # Keras counts from 0
        return ops.minimum(1e-2, ops.rsqrt(step))

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable(package="keras_transformer")
class Adafactor(keras.optimizers.Optimizer):
    """Divides gradients by their usual size, of which it keeps rows and columns only.

    Algorithms 4 and 5 in [Shazeer and Stern, 2018](https://arxiv.org/abs/1804.04235), with its
    proposed values. For a matrix of `A` by `B` the state is `A + B` numbers, for Adam it is `2AB`.
    Only the last two axes are factored, for each index of the leading ones. Vectors and scalars
    keep one number for each of theirs. There is no momentum. A step is as long as the variable is
    large: `max(epsilon_2, RMS(variable)) * learning_rate` times an update whose RMS is at most
    `clip_threshold`. It therefore needs no warm-up.

    `keras.optimizers.Adafactor` keeps a full-size velocity too, and caps every learning rate.

    Args:
        learning_rate: Float, schedule or function: the relative size of a step. By default that of
            the paper, `min(0.01, t^-0.5)` where `t` counts the steps from 1.
        beta_2_decay: Float, negative. The average of squared gradients gives the newest one the
            weight `t^beta_2_decay`.
        epsilon_1: Float. What is added to squared gradients.
        epsilon_2: Float. Variables with a smaller RMS, such as zeros, move as if they had it.
        clip_threshold: Float. The largest RMS of an update, before the size of the step.
        **kwargs: As in `keras.optimizers.Optimizer`.

    Example:

    >>> kernel = keras.Variable([[3.0, -4.0], [0.0, 5.0]])
    >>> optimizer = Adafactor()
    >>> optimizer.apply([ops.sign(kernel)], [kernel])
    >>> [tuple(variable.shape) for variable in optimizer.variables]
    [(), (2,), (2,)]
    """

    def __init__(
        self,
        learning_rate=None,
        beta_2_decay=-0.8,
        epsilon_1=1e-30,
        epsilon_2=1e-3,
        clip_threshold=1.0,
        **kwargs,
    ):
        learning_rate = RelativeStep() if learning_rate is None else learning_rate
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._averages = [self._add_averages(variable) for variable in variables]

    def _add_averages(self, variable):
        """Of rows and of columns; of all there is for vectors and scalars."""
        shape, dtype = tuple(variable.shape), _at_least_float32(variable)
        averages = {"average": shape}
        if len(shape) >= 2:
            averages = {"rows": shape[:-1], "columns": (*shape[:-2], shape[-1])}
        path = variable.path.replace("/", "_")
        return [
            self.add_variable(shape, "zeros", dtype, name=f"{path}_{name}")
            for name, shape in averages.items()
        ]

    def update_step(self, gradient, variable, learning_rate):
        dtype = _at_least_float32(variable)
        gradient = ops.cast(gradient + ops.zeros((), gradient.dtype), dtype)  # dense
        averages = self._averages[variable_index(self, variable)]
        newest = ops.power(ops.cast(self.iterations + 1, dtype), self.beta_2_decay)
        squares = ops.square(gradient) + self.epsilon_1

        def moved(average, axis):
            now = squares if axis is None else ops.mean(squares, axis=axis)
            now = average + newest * (now - average)
            self.assign(average, now)
            return now

        if len(averages) == 2:
            rows, columns = moved(averages[0], axis=-1), moved(averages[1], axis=-2)
            by_row = ops.sqrt(ops.mean(rows, axis=-1, keepdims=True)) * ops.rsqrt(rows)
            update = gradient * by_row[..., None] * ops.rsqrt(columns)[..., None, :]
        else:
            update = gradient * ops.rsqrt(moved(averages[0], axis=None))
        update = update / ops.maximum(1.0, _rms(update) / self.clip_threshold)
        size = ops.maximum(self.epsilon_2, _rms(ops.cast(variable, dtype)))
        step = size * ops.cast(learning_rate, dtype) * update
        self.assign_sub(variable, ops.cast(step, variable.dtype))

    def get_config(self):
        return {
            **super().get_config(),
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
        }


def _at_least_float32(variable):
    return keras.backend.result_type(variable.dtype, "float32")


def _rms(x):
    return ops.sqrt(ops.mean(ops.square(x)))
