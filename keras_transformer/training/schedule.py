"""Learning-rate schedule of the paper: warm-up, then inverse square root decay."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_transformer")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate with linear warm-up, then inverse square root decay.

    The rate of step `s`, counted from 1, is
    `scale * d_model^-0.5 * min(s^-0.5, s * warmup_steps^-1.5)`: equation 3 in
    [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), section 5.3.

    Args:
        d_model: Integer. Width of the model.
        warmup_steps: Integer, at least 1. Number of warm-up steps; the last of them has the highest
            rate.
        scale: Float. Factor by which the paper's rate is multiplied.

    Raises:
        ValueError: `warmup_steps` is less than 1.

    Example:

    >>> schedule = WarmupSchedule(d_model=512, warmup_steps=4000)
    >>> f"{float(schedule(3999)):.4e}"
    '6.9877e-04'
    """

    def __init__(self, d_model, warmup_steps=4000, scale=1.0):
        super().__init__()
        if warmup_steps < 1:
            raise ValueError(f"`warmup_steps` must be at least 1. Received: {warmup_steps}")
        self.d_model = d_model
        self.warmup_steps = warmup_steps
        self.scale = scale

    def __call__(self, step):
        step = ops.cast(step, "float32") + 1.0  # Keras counts from 0
        rising = step * self.warmup_steps**-1.5
        return self.scale * self.d_model**-0.5 * ops.minimum(ops.rsqrt(step), rising)

    def get_config(self):
        return {
            "d_model": self.d_model,
            "warmup_steps": self.warmup_steps,
            "scale": self.scale,
        }
