"""The mixture of experts: feed-forward networks of which each token has a few."""

import contextlib
import contextvars

import keras
from keras import ops

from keras_transformer.layers.dropout import Dropout, next_seed, random_normal
from keras_transformer.layers.expert_gates import (
    chances,
    dense_gates,
    squared_variation,
    top_k_gates,
)
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.masks import real_tokens
from keras_transformer.replicas import AddsLossOfWholeBatch, of_whole_batch

LEAST_DEVIATION = 0.01  # of the noise
_COLLECTED = contextvars.ContextVar("collected", default=None)


@contextlib.contextmanager
def collect_gates():
    """Collects the shares of experts in all mixtures that are called meanwhile.

    Yields:
        A dict that is filled: the `MixtureOfExperts` to a list with the gates of each of its calls,
        tensors of shape `(B, T, num_experts)`, float32.

    Example:

    >>> layer = MixtureOfExperts(d_model=8, d_ff=16, num_experts=4, k=2)
    >>> with collect_gates() as gates:
    ...     outputs = layer(keras.ops.ones((3, 5, 8)))
    >>> tuple(gates[layer][0].shape)
    (3, 5, 4)
    """
    collected = {}
    token = _COLLECTED.set(collected)
    try:
        yield collected
    finally:
        _COLLECTED.reset(token)


@keras.saving.register_keras_serializable(package="keras_transformer")
class MixtureOfExperts(AddsLossOfWholeBatch, Layer):
    """Mixture of experts: every token goes to `k` of several feed-forward networks.

    A gate, a linear layer, chooses the experts of a token and their shares; the output is the sum
    of what they make of it, by their shares (section 2 in
    [Shazeer et al., 2017](https://arxiv.org/abs/1701.06538); the experts of
    [Kaiser et al., 2017](https://arxiv.org/abs/1706.05137)). No token is ever dropped. The layer
    takes the place of `FeedForward` in any block.

    Left alone, the gate comes to prefer the experts that it trains most. So in training its logits
    have noise, as much of it as the gate learns, and two losses keep the experts busy: the squared
    coefficients of variation of their shares (importance) and of the numbers of their tokens
    (load). Both are those of all real tokens of the batch, on all replicas.

    Args:
        d_model: Integer. Width of the input and of the output.
        d_ff: Integer. Width of the hidden layer of each expert.
        num_experts: Integer. Number of experts.
        k: Integer. Number of experts of each token.
        activation: String or callable. Activation of the hidden layers.
        dropout_rate: Float. Fraction of the hidden layers' outputs to drop during training.
        noisy: Boolean. Whether the gate has noise in training.
        balance_weight: Float. What the balancing losses are multiplied by; 0 means none.
        seed: Integer or `None`. Seed of the noise.

    Call arguments:
        inputs: Tensor of shape `(B, T, d_model)`.
        attention_mask: `AttentionMask`, or the padding mask, a boolean tensor of shape `(B, T)`:
            it tells which tokens are real, and so count in the balancing losses. `None` means all.
        training: Boolean. Whether to add noise, losses and dropout.

    Returns:
        Tensor of shape `(B, T, d_model)`.

    Raises:
        ValueError: If `k` is not between 1 and `num_experts`.

    Example:

    >>> layer = MixtureOfExperts(d_model=8, d_ff=16, num_experts=4, k=2)
    >>> tuple(layer(keras.ops.ones((3, 5, 8))).shape)
    (3, 5, 8)
    """

    observes_mask = True  # a block passes `attention_mask`

    def __init__(
        self,
        d_model,
        d_ff,
        num_experts=4,
        k=2,
        activation="relu",
        dropout_rate=0.0,
        noisy=True,
        balance_weight=0.01,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 1 <= k <= num_experts:
            raise ValueError(
                "`k`, the number of experts of a token, must be at least 1 and at most "
                f"`num_experts`. Received: k={k}, num_experts={num_experts}"
            )
        self.d_model = d_model
        self.d_ff = d_ff
        self.num_experts = num_experts
        self.k = k
        self.activation = keras.activations.get(activation)
        self.dropout_rate = dropout_rate
        self.noisy = noisy
        self.balance_weight = balance_weight
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed) if noisy else None
        self.dropout = Dropout(dropout_rate, dtype=self.dtype_policy) if dropout_rate else None

    def build(self, inputs_shape):
        E, D, F = self.num_experts, self.d_model, self.d_ff
        limit = (6 / (D + F)) ** 0.5  # Glorot's, of a single expert
        uniform = keras.initializers.RandomUniform

        def weight(name, shape, initializer="zeros"):
            return self.add_weight(shape=shape, initializer=initializer, name=name)

        self.gate_kernel = weight("gate_kernel", (D, E))
        self.noise_kernel = weight("noise_kernel", (D, E)) if self.noisy else None
        self.hidden_kernel = weight("hidden_kernel", (E, D, F), uniform(-limit, limit))
        self.hidden_bias = weight("hidden_bias", (E, F))
        self.output_kernel = weight("output_kernel", (E, F, D), uniform(-limit, limit))
        self.output_bias = weight("output_bias", (E, D))
        if self.dropout is not None:
            self.dropout.build((E, None, F))

    @property
    def needs_whole_batch(self):
        """Boolean: `True` if the layer adds losses that are no sums over tokens."""
        return self.balance_weight > 0

    def call(self, inputs, attention_mask=None, training=False):
        tokens = ops.reshape(inputs, (-1, self.d_model))
        logits, deviations = self._gate_logits(tokens)
        noisy = logits
        if training and self.noisy:
            noise = random_normal(ops.shape(logits), next_seed(self.seed_generator))
            noisy = logits + deviations * noise
        experts, shares = top_k_gates(noisy, self.k)
        gates = dense_gates(experts, shares, self.num_experts)
        if (collected := _COLLECTED.get()) is not None:
            of_call = ops.reshape(gates, (*ops.shape(inputs)[:-1], self.num_experts))
            collected.setdefault(self, []).append(of_call)
        if training and self.balance_weight:
            loads = gates if deviations is None else chances(logits, noisy, deviations, self.k)
            self._add_balancing_loss(gates, loads, real_tokens(attention_mask))
        outputs = self._mixture(tokens, gates, training)
        return ops.reshape(outputs, ops.shape(inputs))

    def _gate_logits(self, tokens):
        """Returns the gate's logits and the standard deviations of their noise, in float32."""
        tokens = ops.cast(tokens, "float32")
        logits = ops.matmul(tokens, ops.cast(self.gate_kernel, "float32"))
        if not self.noisy:
            return logits, None
        noise = ops.matmul(tokens, ops.cast(self.noise_kernel, "float32"))
        return logits, ops.softplus(noise) + LEAST_DEVIATION

    def _add_balancing_loss(self, gates, loads, real):
        if real is not None:
            real = ops.cast(ops.reshape(real, (-1, 1)), gates.dtype)
            gates, loads = gates * real, loads * real
        loss = 0.0
        for of_tokens in (gates, loads):
            loss = loss + squared_variation(of_whole_batch(ops.sum(of_tokens, axis=0)))
        self.add_loss(self.balance_weight * loss)

    def _mixture(self, tokens, gates, training):
        """Returns the sum of the experts' outputs, by their shares."""
        hidden = ops.einsum("nd,edf->enf", tokens, self._cast(self.hidden_kernel))
        hidden = self.activation(hidden + self._cast(self.hidden_bias)[:, None, :])
        if self.dropout is not None:
            hidden = self.dropout(hidden, training=training)
        gates = self._cast(gates)
        hidden = hidden * ops.transpose(gates)[:, :, None]
        outputs = ops.einsum("enf,efd->nd", hidden, self._cast(self.output_kernel))
        return outputs + ops.matmul(gates, self._cast(self.output_bias))

    def _cast(self, tensor):
        """Casts by hand, for decoding steps, which run outside `__call__`."""
        return ops.cast(tensor, self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "d_ff": self.d_ff,
            "num_experts": self.num_experts,
            "k": self.k,
            "activation": keras.activations.serialize(self.activation),
            "dropout_rate": self.dropout_rate,
            "noisy": self.noisy,
            "balance_weight": self.balance_weight,
            "seed": self.seed,
        }
