"""Greedy search: always the most probable next token."""

from keras import ops


def greedy_search(step, state, max_lengths, length, bos_id, eos_id, pad_id=0):
    """Writes each sentence token by token, keeping the most probable one every time.

    It knows nothing of models: `step` says how probable each next token is.

    Args:
        step: Function `(tokens, index, state) -> (logits, state)`: `tokens` is `(B,)`, the ones
            at position `index` (at first BOS), `logits` is `(B, V)`.
        state: Any nested structure of tensors; what `step` wants to remember.
        max_lengths: Integer tensor of shape `(B,)`: how many tokens each sentence may have,
            EOS included, at most `length`. A sentence's result depends on its own only.
        length: Integer. Room for that many tokens in the result, L.
        bos_id: Integer. Starts every sentence; not part of the result.
        eos_id: Integer. Ends a sentence; part of the result.
        pad_id: Integer. Fills the result up.

    Returns:
        The ids, `(B, L)`; the sum of their log-probabilities, `(B,)`, EOS included; and whether
        each sentence came to its EOS, `(B,)`.

    Example: after any token `i` comes `i + 1`, and 4 is EOS.

    >>> def step(tokens, index, state):
    ...     return 9.0 * keras.ops.one_hot(tokens + 1, 5), state
    >>> ids, log_probs, finished = greedy_search(
    ...     step, (), keras.ops.array([5]), length=5, bos_id=1, eos_id=4
    ... )
    >>> ids.numpy().tolist(), finished.numpy().tolist()
    ([[2, 3, 4, 0, 0]], [True])
    """
    batch = max_lengths.shape[0]

    def unfinished(index, tokens, ids, log_probs, finished, state):
        writing = ops.logical_and(ops.logical_not(finished), index < max_lengths)
        return ops.any(writing)

    def write_one(index, tokens, ids, log_probs, finished, state):
        logits, state = step(tokens, index, state)
        writing = ops.logical_and(ops.logical_not(finished), index < max_lengths)
        best = ops.cast(ops.argmax(logits, axis=-1), "int32")
        gain = ops.max(ops.log_softmax(ops.cast(logits, "float32"), axis=-1), axis=-1)
        tokens = ops.where(writing, best, pad_id)
        ids = ops.slice_update(ids, (0, index), tokens[:, None])
        log_probs = log_probs + ops.where(writing, gain, 0.0)
        finished = ops.logical_or(finished, ops.logical_and(writing, ops.equal(best, eos_id)))
        return index + 1, tokens, ids, log_probs, finished, state

    _, _, ids, log_probs, finished, _ = ops.while_loop(
        unfinished,
        write_one,
        (
            ops.zeros((), "int32"),
            ops.full((batch,), bos_id, "int32"),
            ops.full((batch, length), pad_id, "int32"),
            ops.zeros((batch,), "float32"),
            ops.zeros((batch,), "bool"),
            state,
        ),
        maximum_iterations=length,
    )
    return ids, log_probs, finished
