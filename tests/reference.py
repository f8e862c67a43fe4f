"""The Transformer once more, in plain NumPy and loops: one sentence at a time, no batch, no heads
folded into another axis, nothing shared with the package. Slow, and easy to check by eye. At the
end the search for the best target, and the search through all targets.

Weights are plain containers of arrays, as `tests/weights.py` takes them from the layers:

    dense           (kernel, bias)
    normalization   (gain, bias)
    attention       {"query", "key", "value", "output"} of dense
    feed-forward    (dense, dense)
    block           {"self_attention", "self_residual", ["cross_attention", "cross_residual",]
                     "feed_forward", "feed_forward_residual"}
    stack           (list of blocks, final normalization or None)

S is the source length, T the target length, D `d_model`, K `key_dim`.
"""

import math

import numpy as np

EPSILON = 1e-6


def softmax(logits):
    """Of one row."""
    exponentials = np.array([math.exp(logit - max(logits)) for logit in logits])
    return exponentials / exponentials.sum()


def attention(query, key, value, visible=None):
    """`query` (T, K), `key` and `value` (S, K), `visible` (T, S): output (T, K), scores (T, S)."""
    T, S = len(query), len(key)
    output, scores = np.zeros((T, value.shape[1])), np.zeros((T, S))
    for t in range(T):
        seen = [s for s in range(S) if visible is None or visible[t][s]]
        logits = [
            sum(query[t][k] * key[s][k] for k in range(len(key[s]))) / math.sqrt(len(key[s]))
            for s in seen
        ]
        for s, score in zip(seen, softmax(logits), strict=True):
            scores[t, s] = score
            output[t] += score * value[s]
    return output, scores


def dense(weights, x):
    kernel, bias = weights
    return x @ kernel + bias


def multi_head_attention(weights, num_heads, query, value, key=None, visible=None):
    """`query` (T, D), `value` and `key` (S, D): output (T, D), scores (num_heads, T, S)."""
    queries = dense(weights["query"], query)
    keys = dense(weights["key"], value if key is None else key)
    values = dense(weights["value"], value)
    K = queries.shape[1] // num_heads
    heads, scores = [], []
    for head in range(num_heads):
        own = slice(head * K, (head + 1) * K)
        output, head_scores = attention(queries[:, own], keys[:, own], values[:, own], visible)
        heads.append(output)
        scores.append(head_scores)
    return dense(weights["output"], np.concatenate(heads, axis=1)), np.stack(scores)


def layer_norm(weights, x):
    gain, bias = weights
    rows = []
    for row in x:
        mean = sum(row) / len(row)
        variance = sum((number - mean) ** 2 for number in row) / len(row)
        rows.append((row - mean) / math.sqrt(variance + EPSILON) * gain + bias)
    return np.array(rows)


def feed_forward(weights, x):
    hidden, output = weights
    return np.array([dense(output, np.maximum(dense(hidden, row), 0)) for row in x])


def residual(normalization, norm, x, sublayer):
    """`x` around `sublayer`, a function; normalised after the sum (post) or before it (pre)."""
    if norm == "post":
        return layer_norm(normalization, x + sublayer(x))
    return x + sublayer(layer_norm(normalization, x))


def encoder_block(weights, num_heads, norm, x, visible=None):
    def self_attention(x):
        return multi_head_attention(weights["self_attention"], num_heads, x, x, visible=visible)[0]

    x = residual(weights["self_residual"], norm, x, self_attention)
    return residual(
        weights["feed_forward_residual"],
        norm,
        x,
        lambda x: feed_forward(weights["feed_forward"], x),
    )


def decoder_block(weights, num_heads, norm, x, encoder_output=None, source_visible=None):
    """`source_visible` (S,): which source positions are real."""
    T = len(x)
    causal = [[s <= t for s in range(T)] for t in range(T)]

    def self_attention(x):
        return multi_head_attention(weights["self_attention"], num_heads, x, x, visible=causal)[0]

    def cross_attention(x):
        visible = None if source_visible is None else [source_visible] * T
        return multi_head_attention(
            weights["cross_attention"], num_heads, x, encoder_output, visible=visible
        )[0]

    x = residual(weights["self_residual"], norm, x, self_attention)
    if "cross_attention" in weights:
        x = residual(weights["cross_residual"], norm, x, cross_attention)
    return residual(
        weights["feed_forward_residual"],
        norm,
        x,
        lambda x: feed_forward(weights["feed_forward"], x),
    )


def position(p, d_model, form):
    """The encoding of position `p` by the paper's formula or by Tensor2Tensor's."""
    if form == "paper":
        encoding = []
        for i in range(d_model):
            angle = p / 10000 ** ((i - i % 2) / d_model)
            encoding.append(math.sin(angle) if i % 2 == 0 else math.cos(angle))
        return np.array(encoding)
    half = d_model // 2
    angles = [p * 10000 ** (-i / (half - 1)) for i in range(half)]
    sines, cosines = [math.sin(a) for a in angles], [math.cos(a) for a in angles]
    return np.array(sines + cosines + [0.0] * (d_model % 2))


def embed(table, ids, form):
    d_model = table.shape[1]
    return np.array(
        [math.sqrt(d_model) * table[i] + position(p, d_model, form) for p, i in enumerate(ids)]
    )


def stack(weights, block, x):
    blocks, final_normalization = weights
    for block_weights in blocks:
        x = block(block_weights, x)
    return x if final_normalization is None else layer_norm(final_normalization, x)


def transformer(weights, num_heads, norm, form, source, target):
    """Logits (T, V) of one sentence; `source` and `target` are lists of ids without padding."""

    def encode(block, x):
        return encoder_block(block, num_heads, norm, x)

    encoder_output = stack(weights["encoder"], encode, embed(weights["source"], source, form))

    def decode(block, x):
        return decoder_block(block, num_heads, norm, x, encoder_output)

    hidden = stack(weights["decoder"], decode, embed(weights["target"], target, form))
    return hidden @ weights["target"].T


def length_normalizer(n, length_penalty):
    return ((5 + n) / 6) ** length_penalty


def beam_search(
    log_probs, max_length, eos_id, beam_size, length_penalty=0.0, top_beams=1, allowed=None
):
    """The best hypotheses of one sentence, as (score, log-probability, tokens, finished).

    `log_probs(tokens)` lists the log-probability of each next token; `allowed(tokens, token)` says
    whether it may come. It never stops before `max_length`, whatever has been found.
    """
    beginnings, ended = [(0.0, [])], []
    for n in range(1, max_length + 1):
        longer = [
            (total + log_prob, [*tokens, token])
            for total, tokens in beginnings
            for token, log_prob in enumerate(log_probs(tokens))
            if log_prob > -math.inf and (allowed is None or allowed(tokens, token))
        ]
        longer.sort(key=lambda candidate: -candidate[0])
        best = longer[: 2 * beam_size if beam_size > 1 else 1]
        for total, tokens in best:
            if tokens[-1] == eos_id:
                score = total / length_normalizer(n, length_penalty)
                ended.append((score, total, tokens, True))
        beginnings = [(t, tokens) for t, tokens in best if tokens[-1] != eos_id][:beam_size]
    unfinished = [
        (total / length_normalizer(max_length, length_penalty), total, tokens, False)
        for total, tokens in beginnings
    ]
    return sorted(ended or unfinished, key=lambda hypothesis: -hypothesis[0])[:top_beams]


def follows_rules(tokens, token, pad_id, eos_id, min_length=0, prefix=(), no_repeat_ngram_size=0):
    """Whether `token` may come after `tokens`; what the prefix says comes in any case."""
    n, longer = no_repeat_ngram_size, [*tokens, token]
    if len(tokens) < len(prefix):
        return token == prefix[len(tokens)]
    if token == pad_id or (token == eos_id and len(longer) < min_length):
        return False
    earlier = [longer[i : i + n] for i in range(len(longer) - n)]
    return n == 0 or longer[-n:] not in earlier


def every_sentence(log_probs, max_length, eos_id, length_penalty=0.0, allowed=None):
    """All sentences of at most `max_length` tokens that end, best first, as `beam_search`'s."""

    def after(tokens, total):
        if len(tokens) == max_length:
            return
        for token, log_prob in enumerate(log_probs(tokens)):
            if allowed is not None and not allowed(tokens, token):
                continue
            longer = [*tokens, token]
            if token == eos_id:
                normalizer = length_normalizer(len(longer), length_penalty)
                yield (total + log_prob) / normalizer, total + log_prob, longer, True
            else:
                yield from after(longer, total + log_prob)

    return sorted(after([], 0.0), key=lambda hypothesis: -hypothesis[0])
