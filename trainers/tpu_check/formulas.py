"""How many floating-point operations a model must do, counted on paper."""


def forward_flops(model, rows: int, source_length: int, target_length: int) -> int:
    """Operations of one pass from ids to logits, of matrix products alone.

    A product of an `(M, K)` by a `(K, N)` matrix is M N sums of K products: 2 M K N operations. So
    each parameter of a matrix costs 2 operations a token that it is multiplied with:

    - an encoder block has 4 D^2 in its attention (queries, keys, values, output) and 2 D F in its
      feed-forward network, for source tokens;
    - a decoder block has these for target tokens, and in its cross-attention 2 D^2 for target
      tokens (queries, output) and 2 D^2 for source tokens (keys, values);
    - the table of vectors has D V as the output layer, for target tokens. The look-up of vectors
      multiplies nothing.

    Attention also multiplies activations: Q K^T and then the scores with V, over all heads
    2 D operations each for every pair of a query and a key, which makes 4 D T S a row. Masks, the
    causal one too, are applied to full matrices and save nothing.

    Args:
        model: A `Transformer`; its sizes are read.
        rows: Integer, B.
        source_length: Integer, S.
        target_length: Integer, T.

    Example: the paper's base model does 2 operations a parameter a token, and 4 % more.

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
    """Operations of a training step: three times those of `forward_flops`.

    Going back, each product C = A B needs two of the same size, dA = dC B^T and dB = A^T dC: a
    parameter costs 2 operations a token forward and 4 back, 6 in all, and attention's 4 D T S
    become 12. Not counted: softmax, normalisation, dropout, loss, metrics, Adam.
    """
    return 3 * forward_flops(model, rows, source_length, target_length)


def search_flops(model, sentences: int, slots: int, source_length: int, places: int) -> int:
    """Operations of the encoder and of one step of a beam search, of matrix products alone.

    A compiler does not know how often a loop goes round and counts its body once. One step takes
    each beam's newest token through the decoder, with keys and values of the source made before
    the loop; its self-attention looks at all places of the cache.

    Args:
        model: A `Transformer`; its sizes are read.
        sentences: Integer. How many are encoded.
        slots: Integer. Beams that get a token in a step, those of all sentences at work.
        source_length: Integer, S.
        places: Integer. Places of a sentence's cache: the greatest length times its beams.
    """
    D, F, N, M, V = _sizes(model)
    S, T = sentences * source_length, slots  # tokens
    encoder = N * (4 * D * D + 2 * D * F) * S + M * 2 * D * D * S
    step = M * (6 * D * D + 2 * D * F) * T + D * V * T
    pairs = N * source_length * S + M * (places + source_length) * T
    return 2 * (encoder + step) + 4 * D * pairs


def _sizes(model):
    """D, F, blocks of the encoder and of the decoder, and V of the target."""
    layers = model.num_layers
    decoder_layers = layers if model.num_decoder_layers is None else model.num_decoder_layers
    vocabulary = model.target_vocabulary_size or model.vocabulary_size
    return model.d_model, model.d_ff, layers, decoder_layers, vocabulary
