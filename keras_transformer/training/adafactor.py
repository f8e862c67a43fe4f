"""Adafactor: an optimizer with sublinear memory cost."""

import keras
from keras import ops

from keras_transformer.forking import RefusedAfterFork
from keras_transformer.keras_patches import variable_index


@keras.saving.register_keras_serializable(package="keras_transformer")
class RelativeStep(keras.optimizers.schedules.LearningRateSchedule):
    """Relative step size of the Adafactor paper, `min(0.01, t^-0.5)` with steps `t` from 1."""

    def __call__(self, step):
        step = ops.cast(step, "float32") + 1.0  # Keras counts from 0
        return ops.minimum(1e-2, ops.rsqrt(step))

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable(package="keras_transformer")
class Adafactor(RefusedAfterFork, keras.optimizers.Optimizer):
    """Optimizer that scales gradients by a factored second-moment estimate.

    Algorithms 4 and 5 in [Shazeer and Stern, 2018](https://arxiv.org/abs/1804.04235), with the
    hyperparameters proposed there. The second moments of an `A x B` matrix are stored as one row
    vector and one column vector: `A + B` numbers, where Adam stores `2AB`. Only the last two axes
    of a variable are factored, separately for each index of the leading axes; vectors and scalars
    store one number per element. There is no momentum. Steps are relative to the scale of the
    variable: `max(epsilon_2, RMS(variable)) * learning_rate` times an update whose RMS is at most
    `clip_threshold`. Training therefore needs no warm-up.

    In contrast, `keras.optimizers.Adafactor` also allocates a full-size velocity for each variable,
    and caps every learning rate at `t^-0.5`.

    Args:
        learning_rate: Float, schedule or callable. The relative step size. Defaults to that of the
            paper, `min(0.01, t^-0.5)` with steps `t` counted from 1.
        beta_2_decay: Float, negative. Step `t` has the weight `t^beta_2_decay` in the running
            averages of squared gradients.
        epsilon_1: Float. Added to squared gradients.
        epsilon_2: Float. Lower bound of a variable's RMS in the step size, so that variables of
            zeros can move.
        clip_threshold: Float. Maximum RMS of an update, before it is multiplied by the step size.
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
        """Adds the averages of squared gradients: rows and columns, or full-size below rank 2."""
        shape, dtype = tuple(variable.shape), _at_least_float32(variable)
        shapes = {"average": shape}
        if len(shape) >= 2:
            shapes = {"rows": shape[:-1], "columns": (*shape[:-2], shape[-1])}
        path = variable.path.replace("/", "_")
        return [
            self.add_variable(shape, "zeros", dtype, name=f"{path}_{name}")
            for name, shape in shapes.items()
        ]

    def update_step(self, gradient, variable, learning_rate):
        dtype = _at_least_float32(variable)
        gradient = ops.cast(gradient + ops.zeros((), gradient.dtype), dtype)  # densifies it
        averages = self._averages[variable_index(self, variable)]
        weight = ops.power(ops.cast(self.iterations + 1, dtype), self.beta_2_decay)  # 1 - beta_2
        squares = ops.square(gradient) + self.epsilon_1

        def update_average(average, axis=None):
            value = squares if axis is None else ops.mean(squares, axis=axis)
            value = average + weight * (value - average)
            self.assign(average, value)
            return value

        if len(averages) == 2:
            rows = update_average(averages[0], axis=-1)
            columns = update_average(averages[1], axis=-2)
            row_scale = ops.sqrt(ops.mean(rows, axis=-1, keepdims=True)) * ops.rsqrt(rows)
            update = gradient * row_scale[..., None] * ops.rsqrt(columns)[..., None, :]
        else:
            update = gradient * ops.rsqrt(update_average(averages[0]))
        update = update / ops.maximum(1.0, _rms(update) / self.clip_threshold)
        scale = ops.maximum(self.epsilon_2, _rms(ops.cast(variable, dtype)))
        step = scale * ops.cast(learning_rate, dtype) * update
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
