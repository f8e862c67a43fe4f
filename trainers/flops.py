"""Formulas for the floating-point operations of a model's matrix products."""

TRAINING_PASSES = 3  # a training step, in forward passes


def forward_flops(model, rows: int, source_length: int, target_length: int) -> int:
    """Returns the operations of the matrix products in a forward pass, from ids to logits.

    The product of an `(M, K)` and a `(K, N)` matrix has M N sums of K products: 2 M K N operations.
    So each parameter of a matrix costs 2 operations per token:

    - an encoder block has 4 D^2 in its attention (queries, keys, values, output) and 2 D F in its
      feed-forward network, for source tokens;
    - a decoder block has these for target tokens, and in its cross-attention 2 D^2 for target
      tokens (queries, output) and 2 D^2 for source tokens (keys, values);
    - the output layer, which is the embedding table, has D V for target tokens. The embedding
      look-up has no products.

    Attention also multiplies activations: Q K^T and then the scores with V, over all heads
    2 D operations each for every pair of a query and a key: 4 D T S per row. Masks, the causal one
    included, are applied to full matrices and save nothing.

    Args:
        model: `Transformer`, of which only the sizes are used.
        rows: Integer, B.
        source_length: Integer, S.
        target_length: Integer, T.

    Example: the paper's base model needs 4 % more than 2 operations per parameter and token.

    >>> from types import SimpleNamespace
    >>> base = SimpleNamespace(d_model=512, d_ff=2048, num_layers=6, num_decoder_layers=None,
    ...                        vocabulary_size=37000, target_vocabulary_size=None)
    >>> round(forward_flops(base, 1, 128, 128) / (2 * 63_045_632 * 128), 3)
    1.036
    """
    D, F, N, M, V = _sizes(model)
    S, T = rows * source_length, rows * target_length  # tokens
    attention, feed_forward = 4 * D * D, 2 * D * F
    encoder = N * (attention + feed_forward) * S
    decoder = M * ((attention + feed_forward) * T + attention // 2 * (T + S))
    pairs = N * source_length**2 + M * (target_length**2 + target_length * source_length)
    return 2 * (encoder + decoder + D * V * T) + 4 * D * rows * pairs


def train_step_flops(model, rows: int, source_length: int, target_length: int) -> int:
    """Returns the operations of a training step: three times those of `forward_flops`.

    In the backward pass each product C = A B needs two of the same size, dA = dC B^T and
    dB = A^T dC. So a parameter costs 2 operations per token forward and 4 backward, 6 in all, and
    attention 12 D T S. Softmax, normalization, dropout, loss, metrics and Adam are not counted.
    """
    return TRAINING_PASSES * forward_flops(model, rows, source_length, target_length)


def search_flops(model, sentences: int, slots: int, source_length: int, places: int) -> int:
    """Returns the operations of the matrix products in the encoder and one step of a beam search.

    One step only, since the compiler does not know the number of iterations of a loop and counts
    its body once. A step takes the newest token of each beam through the decoder. The
    cross-attention's keys and values are computed before the loop; self-attention covers all slots
    of the KV cache.

    Args:
        model: `Transformer`, of which only the sizes are used.
        sentences: Integer. Number of encoded sentences.
        slots: Integer. Number of beams in a step, over all sentences that are searched at once.
        source_length: Integer, S.
        places: Integer. Slots of a sentence's KV cache: maximum length times number of beams.
    """
    D, F, N, M, V = _sizes(model)
    S, T = sentences * source_length, slots  # tokens
    encoder = N * (4 * D * D + 2 * D * F) * S + M * 2 * D * D * S
    step = M * (6 * D * D + 2 * D * F) * T + D * V * T
    pairs = N * source_length * S + M * (places + source_length) * T
    return 2 * (encoder + step) + 4 * D * pairs


def image_flops(model, images: int, positions: int, seen: int) -> int:
    """Returns the operations of the matrix products of an image model.

    Each position costs 4 D^2 in the attention and 2 D F in the feed-forward network of a block, and
    at the end D times the outputs, 2 operations each; and 4 D for every key that it meets.

    Args:
        model: `LanguageModel` of `create_image_model`, of which only the sizes are used.
        images: Integer. Number of images.
        positions: Integer. Positions of each: all cells, or the one of a step of drawing.
        seen: Integer. Number of keys that each position meets.
    """
    blocks, D = model.decoder.blocks, model.d_model
    F = blocks[0].feed_forward.d_ff
    of_block = 2 * (4 * D * D + 2 * D * F) + 4 * D * seen
    outputs = model.embedding.kernel.shape[-1]
    return images * positions * (len(blocks) * of_block + 2 * D * outputs)


def _sizes(model):
    """Returns D, F, the numbers of encoder and decoder blocks, and V of the target."""
    layers = model.num_layers
    decoder_layers = layers if model.num_decoder_layers is None else model.num_decoder_layers
    vocabulary = model.target_vocabulary_size or model.vocabulary_size
    return model.d_model, model.d_ff, layers, decoder_layers, vocabulary
