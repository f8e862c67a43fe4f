"""Splitting of over-long rows of ids in a TensorFlow graph."""

import numpy as np

ENDS_BEFORE_SPACE, ENDS_ANYWHERE = tuple(".!?…"), tuple("。！？")
# Tokens of UTF-8 continuation bytes, before which a cut would break a character.
INSIDE_CHARACTER = tuple(f"<0x{byte:02X}>" for byte in range(0x80, 0xC0))
# The same of tokens that are strings in the graph.
STARTS_WORD, IS_INSIDE_CHARACTER = r"(?s)▁.*", r"<0x[89AB][0-9A-F]>"


class TextSplitter:
    """Splits rows of ids into pieces: between sentences, else words, else characters.

    Each piece takes as many sentences, or words, as fit. `Translator` splits texts in the same
    way, but before they are tokenized. Here they are ids already: where neither a sentence nor a
    word ends within the limit, the cut is as late as possible, and the next piece starts in the
    middle of a word.

    Args:
        tokenizer: `Tokenizer`.
        limit: Integer. Maximum number of ids in a piece.
    """

    def __init__(self, tokenizer, limit):
        self.tokenizer, self.limit = tokenizer, limit
        self._describe_tokens(tokenizer)

    def tokenize(self, texts):
        """Returns the rows to split: a ragged tensor of what `ids` takes, `(N, None)`."""
        return self.tokenizer.tokenize_in_graph(texts)

    def ids(self, rows):
        """Returns the ids of rows, ragged int32 `(N, None)`."""
        return rows

    def _describe_tokens(self, tokenizer):
        tokens = [tokenizer.id_to_token(id) for id in range(tokenizer.vocabulary_size())]
        starts_word = [token.startswith("▁") for token in tokens]
        inside = [token in INSIDE_CHARACTER for token in tokens]
        # For each id: the priority of a cut before it, and whether it ends a sentence if a word
        # follows, or whatever follows.
        self.priority_before = np.where(starts_word, 2, np.where(inside, 0, 1)).astype("int32")
        self.ends_before_space = np.array(
            [token.endswith(ENDS_BEFORE_SPACE) for token in tokens], "int32"
        )
        self.ends_anywhere = np.array([token.endswith(ENDS_ANYWHERE) for token in tokens], "int32")

    def __call__(self, rows, reserved=0):
        """Splits the rows.

        Args:
            rows: Ragged tensor of `tokenize`, `(N, None)`.
            reserved: Integers, `(N,)`: how many ids fewer than the limit a piece of each row has.

        Returns:
            The pieces in order, ragged `(P, None)`, none of them empty, and the row that each
            belongs to, `(P,)`.
        """
        import tensorflow as tf

        first = tf.cast(rows.row_starts(), tf.int32)
        lengths = tf.cast(rows.row_lengths(), tf.int32)
        ids, count = rows.values, tf.shape(rows.values)[0]
        priorities = self._cut_priorities(ids)
        limits = self.limit - tf.broadcast_to(tf.cast(reserved, tf.int32), tf.shape(lengths))
        is_reserved = tf.range(self.limit) >= limits[:, None]

        def cut(done, starts):
            """Cuts one piece off each row that has too many ids after its first `done`."""
            places = (first + done)[:, None] + tf.range(1, self.limit + 1)
            window = tf.gather(priorities, tf.minimum(places, count - 1))
            window = tf.where(is_reserved, -1, window)
            latest_best = tf.argmax(window * self.limit + tf.range(self.limit), axis=1)
            size = 1 + tf.cast(latest_best, tf.int32)
            done = tf.where(lengths - done > limits, done + size, done)
            return done, tf.tensor_scatter_nd_update(
                starts, (first + done)[:, None], tf.ones_like(done, tf.bool)
            )

        # An empty row starts where the next row does, or after the last id: one extra place.
        starts = tf.scatter_nd(first[:, None], tf.ones_like(first), [count + 1]) > 0
        _, starts = tf.while_loop(
            lambda done, starts: tf.reduce_any(lengths - done > limits),
            cut,
            (tf.zeros_like(first), starts),
        )
        starts = tf.where(starts[:count])[:, 0]
        pieces = tf.RaggedTensor.from_row_starts(ids, starts, validate=False)
        return pieces, tf.gather(rows.value_rowids(), starts)

    def _cut_priorities(self, ids):
        """Returns the priority of a cut before each id.

        3 between sentences, 2 between words, 1 between characters, 0 inside a character.
        """
        import tensorflow as tf

        before = tf.gather(tf.constant(self.priority_before), ids)
        after_end = tf.roll(tf.gather(tf.constant(self.ends_before_space), ids), 1, axis=0)
        after_any_end = tf.roll(tf.gather(tf.constant(self.ends_anywhere), ids), 1, axis=0)
        between_sentences = ((after_end > 0) & (before == 2)) | (after_any_end > 0)
        return tf.where(between_sentences, 3, before)


class PieceSplitter(TextSplitter):
    """Splits rows of strings: of a `MarianTokenizer`, many of whose tokens may have no id."""

    def tokenize(self, texts):
        return self.tokenizer.pieces_in_graph(texts)

    def ids(self, rows):
        return self.tokenizer.ids_in_graph(rows)

    def _describe_tokens(self, tokenizer):
        """Nothing is known of tokens before they come."""

    def _cut_priorities(self, pieces):
        import tensorflow as tf

        def ends_with(ends):
            found = tf.strings.regex_full_match(pieces, rf"(?s).*[{''.join(ends)}]")
            return tf.roll(found, 1, axis=0)

        starts_word = tf.strings.regex_full_match(pieces, STARTS_WORD)
        inside = tf.strings.regex_full_match(pieces, IS_INSIDE_CHARACTER)
        before = tf.where(starts_word, 2, tf.where(inside, 0, 1))
        after_end = ends_with(ENDS_BEFORE_SPACE) & starts_word
        return tf.where(after_end | ends_with(ENDS_ANYWHERE), 3, before)
