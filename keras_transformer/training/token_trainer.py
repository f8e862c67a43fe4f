"""The training step: every real token counts alike, however the batch is spread."""

import keras

from keras_transformer.keras_patches import BuildsFromExample, skip_gradient_all_reduce
from keras_transformer.replicas import replicas_in_sync
from keras_transformer.training.capabilities import DeclaresCapabilities


class TokenTrainer(DeclaresCapabilities, BuildsFromExample):
    """A model whose `fit` gives the same on one device and on many.

    With a loss that tells its sums (`TokenCrossEntropy`), gradients are sums over tokens, over
    micro-batches and over replicas, divided once by the number of real tokens of the whole batch;
    clipped, if the optimizer clips, after that; and applied once. Keras' own step takes the mean
    of the replicas' means and clips before they are added up.

    With any other loss, with `loss_weights` or a `compute_loss` of a subclass, the step is Keras'
    own.
    """

    rests_on = {  # noqa: RUF012
        "weighs_tokens": ["compute_loss"],
        "projects_loss": ["call", "hidden", "output_vectors", "compute_metrics"],
    }
    weighs_tokens = True  # the loss of `compile` alone is what is trained on
    projects_loss = False  # `hidden` and `output_vectors` give the same logits as `call`

    def compile(self, *args, accumulate_steps=1, loss_weights=None, **kwargs):
        """Configures the model for training, as `keras.Model.compile`.

        Args:
            *args: As in `keras.Model.compile`.
            accumulate_steps: Integer. Micro-batches that every batch is split into, so that less
                memory is needed. The result is that of the batch as a whole. The batch size must be
                a multiple of it, on each device.
            loss_weights: As in `keras.Model.compile`; with weights, the step is Keras' own.
            **kwargs: As in `keras.Model.compile`.

        Raises:
            ValueError: Something is asked for that Keras cannot do on several replicas, or that
                would weigh tokens unequally; `accumulate_steps` is less than 1 or wants another
                loss; the optimizer scales the loss; a subclass of the loss overrides `call`; or the
                model computes in float16.
        """
        super().compile(*args, loss_weights=loss_weights, **kwargs)
        self.accumulate_steps = accumulate_steps
        self.has_loss_weights = loss_weights is not None
        self._check_compiled()
        if self._counts_tokens():
            skip_gradient_all_reduce(self.optimizer)

    def fit(self, *args, class_weight=None, **kwargs):
        """As `keras.Model.fit`; tokens are weighed by `sample_weight`, not `class_weight`.

        Raises:
            ValueError: `class_weight` is given.
        """
        _refuse(class_weight)
        return super().fit(*args, **kwargs)

    def train_on_batch(self, *args, class_weight=None, **kwargs):
        """As `keras.Model.train_on_batch`; as in `fit`, there is no `class_weight`."""
        _refuse(class_weight)
        return super().train_on_batch(*args, **kwargs)

    def _counts_tokens(self):
        """Whether the loss provides `sums`, and neither weights nor `compute_loss` overrides it."""
        return (
            self.weighs_tokens
            and not self.has_loss_weights
            and isinstance(self.loss, keras.losses.Loss)
            and getattr(self.loss, "provides_sums", False)
        )

    def _check_compiled(self):
        N, optimizer = self.accumulate_steps, self.optimizer
        if not isinstance(N, int) or N < 1:
            raise ValueError(f"`accumulate_steps` must be an integer, at least 1. Received: {N!r}")
        if N > 1 and not self._counts_tokens():
            raise ValueError(
                "`accumulate_steps` needs a loss that tells its sums, such as TokenCrossEntropy. "
                f"Received: loss={self.loss!r}"
            )
        if getattr(optimizer, "gradient_accumulation_steps", None) and self._counts_tokens():
            raise ValueError(
                "`gradient_accumulation_steps` of a Keras optimizer takes the mean of the batches' "
                "means. Use `accumulate_steps` of `compile`, which weighs every token alike. "
                f"Received: {optimizer.gradient_accumulation_steps}"
            )
        if self.compute_dtype == "float16":
            raise ValueError(
                "float16 is not offered: its losses overflow. Make the model with "
                '`dtype="mixed_bfloat16"` or "float32".'
            )
        if self._counts_tokens():
            self._check_for_sums()
        if replicas_in_sync() > 1:
            self._check_for_replicas()

    def _check_for_sums(self):
        scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        if scaled or self.optimizer.loss_scale_factor:
            raise ValueError(
                "Scaling the loss is for float16, which is not offered: leave out "
                f"`loss_scale_factor` and LossScaleOptimizer. Received: {self.optimizer!r:.80}"
            )
        if type(self.loss).call is not keras.losses.Loss.call:
            raise ValueError(
                "This step adds up the `sums` of the loss: a subclass overrides `sums` or "
                f"`__call__`, not `call`. Received: loss={type(self.loss).__name__}"
            )

    def _check_for_replicas(self):
        reasons = {
            "jit_compile=True": self.jit_compile,
            f"steps_per_execution={self.steps_per_execution}": self.steps_per_execution > 1,
            "ema_overwrite_frequency of the optimizer": self.optimizer.use_ema
            and self.optimizer.ema_overwrite_frequency,
        }
        for option, given in reasons.items():
            if given:
                raise ValueError(
                    f"Keras cannot train with {option} on several replicas. Leave it out, or use "
                    f"one device. Received: {replicas_in_sync()} replicas."
                )

    def get_compile_config(self):
        config = super().get_compile_config()
        return {**config, "accumulate_steps": self.accumulate_steps} if config else config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def train_step(self, *state_and_data):
        """On TensorFlow, `(data) -> logs`; on JAX, `(state, data) -> (logs, state)`."""
        if not self._counts_tokens():
            return super().train_step(*state_and_data)
        return _steps().train_step(self, *state_and_data)

    def test_step(self, *state_and_data):
        """As `train_step`, but nothing is learnt."""
        if not self._counts_tokens():
            return super().test_step(*state_and_data)
        return _steps().test_step(self, *state_and_data)

    def token_sums(self, data, training):
        """The sum of the losses of a batch, and how many tokens; the metrics are told.

        Args:
            data: What `fit` is given: inputs, labels and maybe sample weights.
            training: Boolean.

        Returns:
            Two scalar tensors. The model's additional losses, such as those of regularizers, are
            part of the sum, once for each token.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if training and sample_weight is None and self._can_project():
            total, count = self._sums_without_logits(x, y)
        else:
            logits = self(x, training=training)
            total, count = self.loss.sums(y, logits, sample_weight)
            self.compute_metrics(x, y, logits, sample_weight)
        for loss in self.losses:
            total = total + loss * count
        tracked = next(metric for metric in self.metrics if metric.name == "loss")
        tracked.update_state(keras.ops.divide_no_nan(total, count), sample_weight=count)
        return total, count

    def _sums_without_logits(self, x, y):
        """The same, with the output layer as a part of the loss: faster, and in less memory."""
        hidden = keras.ops.cast(self.hidden(x, training=True), "float32")
        total, count, statistics = self.loss.projected_sums(y, hidden, self.output_vectors())
        for metric in self._compiled_metrics():
            metric.update_from_statistics(y, statistics)
        return total, count

    def _can_project(self):
        """Whether model, loss and all metrics can do without logits."""
        parts = [self, self.loss, *self._compiled_metrics()]
        return (
            self.built
            and all(getattr(part, "projects_loss", False) for part in parts)
            and self.output_vectors() is not None
        )

    def _compiled_metrics(self):
        """What `compile` was given; itself a list that is not ready, before the first batch."""
        groups = [metric for metric in self.metrics if metric.name == "compile_metrics"]
        return [one for group in groups for one in (group.metrics if group.built else groups)]


def _refuse(class_weight):
    if class_weight is not None:
        raise ValueError(
            "`class_weight` is not offered: Keras takes labels of shape (B, T) for one-hot rows. "
            "Give each token's weight as `sample_weight`, of shape (B, T). Received: "
            f"{class_weight!r:.80}"
        )


def _steps():
    if keras.backend.backend() == "jax":
        from keras_transformer.training import train_step_jax

        return train_step_jax
    from keras_transformer.training import train_step_tensorflow

    return train_step_tensorflow
