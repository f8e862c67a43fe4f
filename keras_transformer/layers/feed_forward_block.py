"""A block of a feed-forward network alone, which stands between others in a stack."""

import keras

from keras_transformer.layers.add_and_norm import EPSILON, AddAndNorm
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.parts import TakesParts


@keras.saving.register_keras_serializable(package="keras_transformer")
class FeedForwardBlock(TakesParts, Layer):
    """A block without attention: `norm(x + f(x))`, with a feed-forward network f.

    The experts of [Kaiser et al., 2017](https://arxiv.org/abs/1706.05137) stand like this between
    the convolution modules of encoder and decoder. The block fits `EncoderStack` and
    `DecoderStack`. It has no attention scores.

    Args:
        d_model: Integer. Width of every position.
        feed_forward: Layer from `(B, T, d_model)` to the same shape, each position by itself, such
            as `FeedForward` or `MixtureOfExperts`.
        dropout_rate: Float. Fraction of its output to drop during training.
        norm: `"post"` or `"pre"`; see `AddAndNorm`.
        epsilon: Float. Added to the variance in layer normalization.

    Call arguments:
        inputs: Tensor of shape `(B, T, d_model)`.
        attention_mask: As in `EncoderBlock`: tells `feed_forward` which tokens are real, if it has
            the attribute `observes_mask`.
        positions: Has no meaning here.
        return_attention_scores: Boolean. Whether to return `None` as scores too.

    Returns:
        Tensor of shape `(B, T, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and `None`.

    Raises:
        ValueError: If `norm` is unknown.

    Example:

    >>> from keras_transformer import MixtureOfExperts
    >>> block = FeedForwardBlock(8, MixtureOfExperts(d_model=8, d_ff=16, num_experts=4))
    >>> tuple(block(keras.ops.ones((3, 5, 8))).shape)
    (3, 5, 8)
    """

    PARTS = ("feed_forward",)

    def __init__(
        self, d_model, feed_forward, dropout_rate=0.0, norm="post", epsilon=EPSILON, **kwargs
    ):
        super().__init__(**kwargs)
        self.d_model = d_model
        self.dropout_rate = dropout_rate
        self.norm = norm
        self.epsilon = epsilon
        self.feed_forward = feed_forward
        self.residual = AddAndNorm(dropout_rate, norm, epsilon, dtype=self.dtype_policy)

    def standard_part(self, name):
        return None

    def build(self, inputs_shape):
        self.build_part("feed_forward", inputs_shape)
        self.residual.build(inputs_shape)

    def call(self, inputs, attention_mask=None, positions=None, return_attention_scores=False):
        observes_mask = getattr(self.feed_forward, "observes_mask", False)
        options = {"attention_mask": attention_mask} if observes_mask else {}
        outputs = self.feed_forward(self.residual.preprocess(inputs), **options)
        outputs = self.residual(inputs, outputs)
        return (outputs, None) if return_attention_scores else outputs

    def init_cache(self, batch_size, num_beams, length):
        """Returns the memory of decoding steps, of which there is none."""
        return ()

    def prefill(self, inputs, attention_mask=None, positions=None):
        """Reads prompts in one pass, as `DecoderBlock.prefill` does."""
        self.build_if_needed(inputs.shape)
        return self.call(inputs), ()

    def step(self, inputs, cache, at, return_attention_scores=False, prompt=None):
        """Processes one new position of each beam, as `DecoderBlock.step` does."""
        self.build_if_needed(inputs.shape)
        return self.call(inputs), None, cache

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "dropout_rate": self.dropout_rate,
            "norm": self.norm,
            "epsilon": self.epsilon,
        }
