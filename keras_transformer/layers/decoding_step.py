"""One decoding step, as layers with a memory of earlier positions see it."""

from typing import NamedTuple

from keras import ops


class DecodingStep(NamedTuple):
    """The place of a decoding step in the cache and in B sentences with W beams each.

    A layer that mixes positions has two methods beside `call`: `init_cache(batch_size, num_beams,
    length)` returns its memory for L places, and `step(inputs, cache, at)` computes the next
    position of every beam from it, where `at` is a `DecodingStep`. What `step` returns equals what
    `call` returns at that position for the whole sentence.

    A prompt, tokens that stand before the first step, is memory and not part of the cache: all
    beams of a sentence share it, as they share the source. `prefill(inputs, attention_mask,
    positions)` reads it in one pass and returns the outputs and what `step` needs to know of it, a
    nested structure of tensors of shape `(B, ...)`, which is passed to `step` as `prompt`.
    Positions then continue after the prompt, and states begin with those at its end.

    The places of a cache are used cyclically, and the beams of one step stand side by side: the
    beam in slot `s` writes to entry `place * W + s`. Entries never move. When the search reorders
    beams, or a sentence starts in a slot that another one leaves, only this description changes.

    Attributes:
        place: Integer scalar tensor: the place of the cache that this step writes to.
        positions: Integer tensor of shape `(B,)`: the position of the step in each sentence.
        first: Boolean tensor of shape `(B,)`: whether this is the first step of each sentence,
            before which there may be a prompt.
        ancestry: Boolean tensor of shape `(B, W, L, W)`: whether each beam was in each slot when
            each place was written; `False` at the places of other sentences. The place of this
            step is included, at which every beam is in its own slot.

    Example: Two beams at their second step. Both come from the beam that was in slot 1.

    >>> import numpy as np
    >>> ancestry = np.zeros((1, 2, 3, 2), bool)
    >>> ancestry[0, :, 0, 1] = ancestry[0, 0, 1, 0] = ancestry[0, 1, 1, 1] = True
    >>> at = DecodingStep(1, np.array([1]), np.array([False]), ancestry)
    >>> at.inherit(np.array([[5.0, 7.0]]), 0.0).numpy().tolist()
    [[7.0, 7.0]]
    """

    place: object
    positions: object
    first: object
    ancestry: object

    def visible(self):
        """Returns the attention mask over the entries of the cache, `(B, W, L * W)`."""
        B, W, L, _ = self.ancestry.shape
        return ops.reshape(self.ancestry, (B, W, L * W))

    def beam_positions(self):
        """Returns the position of every beam, `(B, W)`: the same for the beams of a sentence."""
        B, W, _, _ = self.ancestry.shape
        positions = ops.cast(self.positions, "int32")  # NumPy's integers are int64
        return ops.broadcast_to(positions[:, None], (B, W))

    def key_positions(self):
        """Returns the position of every entry of the cache in its sentence, `(B, L * W)`.

        It holds for the entries that are visible; those of other sentences have any number.
        """
        _, W, L, _ = self.ancestry.shape
        ages = (ops.cast(self.place, "int32") - ops.arange(L, dtype="int32")) % L
        return ops.cast(self.positions, "int32")[:, None] - ops.repeat(ages, W)

    def recent(self, count):
        """Returns this step in a cache of `count` places, which keeps only the last ones.

        Args:
            count: Integer, a divisor of L: what was written `count` places ago is overwritten.
        """
        L = self.ancestry.shape[2]
        if count == L:
            return self
        place = ops.cast(self.place, "int32")
        ages = (place - ops.arange(count, dtype="int32")) % count
        ancestry = ops.take(self.ancestry, (place - ages) % L, axis=2)
        return self._replace(place=place % count, ancestry=ancestry)

    def of_all_places(self, scores, count):
        """Returns the scores of a cache of `count` places as those of all, 0 where not kept.

        Args:
            scores: Tensor of shape `(..., count * W)`.
            count: Integer, as in `recent`.

        Returns:
            Tensor of shape `(..., L * W)`.
        """
        _, W, L, _ = self.ancestry.shape
        if count == L:
            return scores
        places = ops.arange(L, dtype="int32")
        is_kept = (ops.cast(self.place, "int32") - places) % L < count
        of_places = ops.reshape(scores, (*ops.shape(scores)[:-1], count, W))
        of_places = ops.take(of_places, places % count, axis=-2)
        of_places = ops.where(is_kept[:, None], of_places, 0.0)
        return ops.reshape(of_places, (*ops.shape(scores)[:-1], L * W))

    def inherit(self, state, initial):
        """Returns the state of each beam's parent, for states that move along with the beams.

        A window of inputs, or the state of a recurrent cell, is small and replaced at every step;
        unlike keys and values, it is not looked up by ancestry, but copied from parent to child.

        Args:
            state: Tensor of shape `(B, W, ...)`: the state of the beam in each slot, as the
                previous step left it.
            initial: The state before the first position: a number, or a tensor that broadcasts to
                `(B, W, ...)`.

        Returns:
            Tensor of shape `(B, W, ...)`.
        """
        L = self.ancestry.shape[2]
        previous = (ops.cast(self.place, "int32") - 1) % L
        was_in_slot = ops.cast(ops.take(self.ancestry, previous, axis=2), "int32")  # (B, W, W)
        others = (1,) * (len(state.shape) - 2)
        parents = ops.reshape(ops.argmax(was_in_slot, axis=-1), (*state.shape[:2], *others))
        carried = ops.take_along_axis(state, parents, axis=1)
        first = ops.reshape(self.first, (-1, 1, *others))
        return ops.where(first, ops.cast(initial, state.dtype), carried)
