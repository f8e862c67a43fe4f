"""Training step in which every real token has the same weight, on any number of devices."""

import inspect

import keras

from keras_transformer.forking import RefusedAfterFork, refused_after_fork
from keras_transformer.keras_patches import (
    BuildsFromExample,
    layers_of,
    skip_gradient_all_reduce,
)
from keras_transformer.replicas import losses_of_replica, replicas_in_sync, sum_over_replicas
from keras_transformer.training.capabilities import DeclaresCapabilities
from keras_transformer.training.id_checks import check_data, make_limits, one_line_errors


class TokenTrainer(RefusedAfterFork, DeclaresCapabilities, BuildsFromExample):
    """Base class of models whose `fit` gives the same result on one device and on many.

    With a loss that provides `sums`, such as `TokenCrossEntropy`, gradients are summed over tokens,
    over micro-batches (gradient accumulation) and over replicas (all-reduce), then divided once by
    the number of real tokens in the whole batch. If the optimizer clips gradients, it clips the
    result. Keras' training step averages the mean gradients of the replicas, and clips before the
    all-reduce.

    With any other loss, with `loss_weights`, or in subclasses that override `compute_loss`, the
    training step is that of `keras.Model`.
    """

    rests_on = {  # noqa: RUF012
        "weighs_tokens": ["compute_loss"],
        "projects_loss": ["call", "hidden", "output_vectors", "compute_metrics"],
    }
    weighs_tokens = True  # training minimizes the compiled loss, and nothing else
    projects_loss = False  # True if `hidden` and `output_vectors` give the logits of `call`

    def __init__(self, *args, **kwargs):
        _check_default_precision()
        super().__init__(*args, **kwargs)

    @refused_after_fork
    def compile(
        self, optimizer="rmsprop", loss=None, loss_weights=None, *args, accumulate_steps=1, **kwargs
    ):
        """Configures the model for training, as `keras.Model.compile`.

        Args:
            optimizer: As in `keras.Model.compile`.
            loss: As in `keras.Model.compile`.
            loss_weights: As in `keras.Model.compile`. If given, the training step is that of
                `keras.Model`.
            *args: As in `keras.Model.compile`.
            accumulate_steps: Integer. Number of micro-batches that every batch is split into, to
                save memory (gradient accumulation). The gradient is that of the whole batch. The
                batch size on each device must be a multiple of it.
            **kwargs: As in `keras.Model.compile`.

        Raises:
            ValueError: An option does not work in Keras on several replicas, or would weigh tokens
                unequally; `accumulate_steps` is less than 1, or greater than 1 with a loss that
                does not provide `sums`; the optimizer scales the loss; a subclass of the loss
                overrides `call`; or the model computes in float16.
        """
        super().compile(optimizer, loss, loss_weights, *args, **kwargs)
        self.accumulate_steps = accumulate_steps
        self.has_loss_weights = loss_weights is not None
        self.check_compiled()
        if self.uses_sums():
            skip_gradient_all_reduce(self.optimizer)

    def id_limits(self):
        """Returns the number of ids of each input and of `"labels"`, which are checked.

        A dict; what it does not name is not checked. See `keras_transformer/training/id_checks.py`.
        """
        return {}

    save = refused_after_fork(keras.Model.save)
    save_weights = refused_after_fork(keras.Model.save_weights)
    load_weights = refused_after_fork(keras.Model.load_weights)
    export = refused_after_fork(keras.Model.export)
    quantize = refused_after_fork(keras.Model.quantize)

    def fit(self, *args, **kwargs):
        """Trains the model, as `keras.Model.fit`.

        Weights of tokens are passed as `sample_weight`; `class_weight` is not supported.

        Raises:
            ValueError: `class_weight` is given, or an id of `id_limits` is out of range.
        """
        _reject_class_weight(super().fit, args, kwargs)
        return self._with_checked_ids(super().fit, args, kwargs)

    def evaluate(self, *args, **kwargs):
        """Evaluates the model, as `keras.Model.evaluate`.

        Raises:
            ValueError: An id of `id_limits` is out of range.
        """
        if kwargs.get("_use_cached_eval_dataset"):  # in `fit`, which has checked it
            return super().evaluate(*args, **kwargs)
        return self._with_checked_ids(super().evaluate, args, kwargs)

    def train_on_batch(self, *args, **kwargs):
        """Trains on one batch, as `keras.Model.train_on_batch`.

        Raises:
            ValueError: `class_weight` is given, or an id of `id_limits` is out of range.
        """
        _reject_class_weight(super().train_on_batch, args, kwargs)
        return self._with_checked_ids(super().train_on_batch, args, kwargs)

    def test_on_batch(self, *args, **kwargs):
        """Evaluates one batch, as `keras.Model.test_on_batch`.

        Raises:
            ValueError: An id of `id_limits` is out of range.
        """
        return self._with_checked_ids(super().test_on_batch, args, kwargs)

    def predict(self, *args, **kwargs):
        """Computes logits, as `keras.Model.predict`.

        Raises:
            ValueError: An id of `id_limits` is out of range.
        """
        return self._with_checked_ids(super().predict, args, kwargs)

    def predict_on_batch(self, *args, **kwargs):
        """Computes the logits of one batch, as `keras.Model.predict_on_batch`.

        Raises:
            ValueError: An id of `id_limits` is out of range.
        """
        return self._with_checked_ids(super().predict_on_batch, args, kwargs)

    @refused_after_fork
    def _with_checked_ids(self, method, args, kwargs):
        """Calls a method of `keras.Model` on data whose ids are checked."""
        limits = make_limits(self.id_limits(), self.loss if self.compiled else None)
        if not limits:
            return method(*args, **kwargs)
        given = inspect.signature(method).bind(*args, **kwargs).arguments
        given |= given.pop("kwargs", {})
        with one_line_errors():
            return method(**check_data(given, limits))

    def uses_sums(self):
        """Returns whether the loss provides `sums`, without weights or another `compute_loss`."""
        return (
            self.weighs_tokens
            and not self.has_loss_weights
            and isinstance(self.loss, keras.losses.Loss)
            and getattr(self.loss, "provides_sums", False)
        )

    def check_compiled(self):
        N, optimizer = self.accumulate_steps, self.optimizer
        if not isinstance(N, int) or N < 1:
            raise ValueError(f"`accumulate_steps` must be an integer, at least 1. Received: {N!r}")
        if N > 1 and not self.uses_sums():
            raise ValueError(
                "`accumulate_steps` needs a loss that provides `sums`, such as TokenCrossEntropy. "
                f"Received: loss={self.loss!r}"
            )
        if N > 1 and (layers := [one for one in layers_of(self) if _needs_whole_batch(one)]):
            raise ValueError(
                "A loss of the whole batch cannot be computed in micro-batches, one after the "
                f"other. Set `accumulate_steps` to 1{_or_without_balance(layers[0])}. "
                f"Received: accumulate_steps={N}, and a {type(layers[0]).__name__}, "
                f"{layers[0].path!r}"
            )
        if getattr(optimizer, "gradient_accumulation_steps", None) and self.uses_sums():
            raise ValueError(
                "`gradient_accumulation_steps` of a Keras optimizer averages the means of batches "
                "with unequal numbers of tokens. Use `accumulate_steps` of `compile` instead. "
                f"Received: {optimizer.gradient_accumulation_steps}"
            )
        if self.compute_dtype == "float16":
            raise ValueError(
                "float16 is not supported, because sums of losses overflow. Create the model with "
                '`dtype="mixed_bfloat16"` or "float32".'
            )
        if self.uses_sums():
            self._check_sums()
        if replicas_in_sync() > 1:
            self._check_replicas()

    def _check_sums(self):
        is_scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        if is_scaled or self.optimizer.loss_scale_factor:
            raise ValueError(
                "Loss scaling is for float16, which is not supported. Remove "
                f"`loss_scale_factor` and LossScaleOptimizer. Received: {self.optimizer!r:.80}"
            )
        if type(self.loss).call is not keras.losses.Loss.call:
            raise ValueError(
                "The training step uses `sums` of the loss, so a subclass must override `sums` or "
                f"`__call__`, not `call`. Received: loss={type(self.loss).__name__}"
            )

    def _check_replicas(self):
        unsupported = {
            "jit_compile=True": self.jit_compile,
            f"steps_per_execution={self.steps_per_execution}": self.steps_per_execution > 1,
            "ema_overwrite_frequency of the optimizer": self.optimizer.use_ema
            and self.optimizer.ema_overwrite_frequency,
        }
        for option, is_set in unsupported.items():
            if is_set:
                raise ValueError(
                    f"Keras cannot train with {option} on several replicas. Remove it, or use one "
                    f"device. Received: {replicas_in_sync()} replicas."
                )

    def get_compile_config(self):
        config = super().get_compile_config()
        return {**config, "accumulate_steps": self.accumulate_steps} if config else config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def train_step(self, *state_and_data):
        """Runs a training step.

        The signature is `(data) -> logs` on TensorFlow and `(state, data) -> (logs, state)` on JAX.
        """
        if not self.uses_sums():
            return super().train_step(*state_and_data)
        return _backend_steps().train_step(self, *state_and_data)

    def test_step(self, *state_and_data):
        """Runs an evaluation step, with a signature like that of `train_step`."""
        if not self.uses_sums():
            return super().test_step(*state_and_data)
        return _backend_steps().test_step(self, *state_and_data)

    def token_sums(self, data, training):
        """Returns the summed losses and the number of tokens of a batch, and updates the metrics.

        Args:
            data: Tuple of inputs, labels and, optionally, sample weights, as `fit` passes it.
            training: Boolean. Whether the model runs in training mode, with dropout.

        Returns:
            Tuple of two scalar tensors. Additional losses of the model, such as those of
            regularizers, enter the sum multiplied by the number of tokens. Their mean over the
            replicas is what is minimized.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        total, count = self.batch_sums(x, y, sample_weight, training)
        if losses := losses_of_replica(self):
            total = total + sum(losses) * self._mean_count(count)
        loss_tracker = next(metric for metric in self.metrics if metric.name == "loss")
        loss_tracker.update_state(keras.ops.divide_no_nan(total, count), sample_weight=count)
        return total, count

    def _mean_count(self, count):
        """Returns the mean number of tokens of a replica.

        Micro-batches are computed in a loop, where replicas cannot meet: there it is this one's,
        which makes no difference to losses that are the same on all.
        """
        if self.accumulate_steps > 1 or replicas_in_sync() == 1:
            return count
        return sum_over_replicas(count) / replicas_in_sync()

    def batch_sums(self, x, y, sample_weight, training):
        """Returns the sums of the loss alone for a batch, and updates the metrics of `compile`."""
        if training and sample_weight is None and self.can_project():
            return self._projected_sums(x, y)
        logits = self(x, training=training)
        self.compute_metrics(x, y, logits, sample_weight)
        return self.loss.sums(y, logits, sample_weight)

    def _projected_sums(self, x, y):
        """Computes the sums with the output projection fused into the loss, which saves memory."""
        hidden = keras.ops.cast(self.hidden(x, training=True), "float32")
        total, count, statistics = self.loss.projected_sums(y, hidden, self.output_vectors())
        for metric in self.token_metrics():
            metric.update_from_statistics(y, statistics)
        return total, count

    def can_project(self):
        """Returns whether model, loss and all metrics support a step without logits."""
        parts = [self, self.loss, *self.token_metrics()]
        return (
            self.built
            and all(getattr(part, "projects_loss", False) for part in parts)
            and self.output_vectors() is not None
        )

    def token_metrics(self):
        """Returns the metrics given to `compile` or, until they are built, their container."""
        containers = [metric for metric in self.metrics if metric.name == "compile_metrics"]
        return [
            metric
            for container in containers
            for metric in (container.metrics if container.built else containers)
        ]


def _check_default_precision():
    """Refuses a default precision in which Keras counts positions and tokens in 16 bits."""
    if keras.config.floatx() in ("float16", "bfloat16"):
        raise ValueError(
            f"Keras' default precision (floatx) is {keras.config.floatx()}, with which Keras also "
            "has 16 bits for integers. Call `keras.config.set_floatx('float32')`, or remove floatx "
            "from keras.json. The precision of a model is its argument `dtype`."
        )


def _needs_whole_batch(layer):
    """Returns whether a layer adds a loss that is no sum over tokens."""
    return getattr(layer, "needs_whole_batch", False)


def _or_without_balance(layer):
    """Returns what else can be set, in a message, for a layer with such a weight."""
    return ", or `balance_weight` of the layers to 0" if hasattr(layer, "balance_weight") else ""


def _reject_class_weight(method, args, kwargs):
    """Raises a ValueError if the arguments of a method hold weights of classes."""
    class_weight = inspect.signature(method).bind(*args, **kwargs).arguments.get("class_weight")
    if class_weight is not None:
        raise ValueError(
            "`class_weight` is not supported, because Keras treats labels of shape (B, T) as "
            "one-hot rows. Pass token weights of shape (B, T) as `sample_weight`. Received: "
            f"{class_weight!r:.80}"
        )


def _backend_steps():
    """Returns the module with the steps for the current Keras backend."""
    if keras.backend.backend() == "jax":
        from keras_transformer.training import train_step_jax

        return train_step_jax
    from keras_transformer.training import train_step_tensorflow

    return train_step_tensorflow
