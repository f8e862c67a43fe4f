"""Rows of ids too long for a model, cut where it hurts least, in a TensorFlow graph."""

import numpy as np

ENDS_BEFORE_SPACE, ENDS_ANYWHERE = tuple(".!?…"), tuple("。！？")
INSIDE_CHARACTER = tuple(f"<0x{byte:02X}>" for byte in range(0x80, 0xC0))  # a byte, not its first


class TextSplitter:
    """Cuts rows of ids into pieces: between sentences, else words, else characters.

    As many sentences, or words, as fit go into a piece. That is how `Translator` cuts texts, but
    here they are ids already: where neither a sentence nor a word ends in time, the cut is as
    late as possible, and the next piece starts in the middle of a word.

    Args:
        tokenizer: `Tokenizer`.
        limit: Integer. The most ids of a piece.
    """

    def __init__(self, tokenizer, limit):
        self.limit = limit
        tokens = [tokenizer.id_to_token(id) for id in range(tokenizer.vocabulary_size())]
        starts_word = [token.startswith("▁") for token in tokens]
        inside = [token in INSIDE_CHARACTER for token in tokens]
        # How good it is to cut before each id, and behind it if a word starts there, or anyway.
        self.before = np.where(starts_word, 2, np.where(inside, 0, 1)).astype("int32")
        self.behind = np.array([token.endswith(ENDS_BEFORE_SPACE) for token in tokens], "int32")
        self.anywhere = np.array([token.endswith(ENDS_ANYWHERE) for token in tokens], "int32")

    def __call__(self, rows):
        """Cuts the rows.

        Args:
            rows: Ragged int32 tensor, `(N, None)`.

        Returns:
            The pieces in order, ragged `(P, None)`, none of them empty, and which row each is of,
            `(P,)`.
        """
        import tensorflow as tf

        first = tf.cast(rows.row_starts(), tf.int32)
        lengths = tf.cast(rows.row_lengths(), tf.int32)
        ids, count = rows.values, tf.shape(rows.values)[0]
        goodness = self._goodness(ids)

        def cut(done, starts):
            """One more piece of each row that is too long; `done` ids of it are in pieces."""
            places = (first + done)[:, None] + tf.range(1, self.limit + 1)
            window = tf.gather(goodness, tf.minimum(places, count - 1))
            latest_best = tf.argmax(window * self.limit + tf.range(self.limit), axis=1)
            size = 1 + tf.cast(latest_best, tf.int32)
            done = tf.where(lengths - done > self.limit, done + size, done)
            return done, tf.tensor_scatter_nd_update(
                starts, (first + done)[:, None], tf.ones_like(done, tf.bool)
            )

        # An empty row starts where the next one does, or behind all ids: one place more.
        starts = tf.scatter_nd(first[:, None], tf.ones_like(first), [count + 1]) > 0
        _, starts = tf.while_loop(
            lambda done, starts: tf.reduce_any(lengths - done > self.limit),
            cut,
            (tf.zeros_like(first), starts),
        )
        starts = tf.where(starts[:count])[:, 0]
        pieces = tf.RaggedTensor.from_row_starts(ids, starts, validate=False)
        return pieces, tf.gather(rows.value_rowids(), starts)

    def _goodness(self, ids):
        """How good it is to cut before each id: 3 between sentences, 2 words, 1 characters."""
        import tensorflow as tf

        before = tf.gather(tf.constant(self.before), ids)
        behind = tf.roll(tf.gather(tf.constant(self.behind), ids), 1, axis=0)
        anywhere = tf.roll(tf.gather(tf.constant(self.anywhere), ids), 1, axis=0)
        between_sentences = ((behind > 0) & (before == 2)) | (anywhere > 0)
        return tf.where(between_sentences, 3, before)
