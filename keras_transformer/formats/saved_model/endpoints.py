"""Endpoints of a served translator: TensorFlow functions from strings to strings."""

import keras

from keras_transformer.formats.saved_model.text_splitter import PieceSplitter, TextSplitter
from keras_transformer.models.token_model import stack_scores
from keras_transformer.text import MarianTokenizer

# Texts that `str.strip` makes empty.
BLANK = r"[\p{Z}\t-\r\x1c-\x1f\x{85}]*"


def known_ids(ids, tokenizer):
    """Replaces the ids by which a vocabulary is larger than that of its tokenizer."""
    import tensorflow as tf

    return tf.where(ids < tokenizer.vocabulary_size(), ids, tokenizer.unk_id)


class Endpoints:
    """Endpoints of a translator: tokenization, splitting, search and detokenization in a graph.

    Args:
        translator: A `Translator` whose tokenizers are `Tokenizer`s or `MarianTokenizer`s.
        search: `SearchInGraph` of the translator's model, or of a copy of it.

    Attributes:
        INPUT: Name of the argument of all endpoints.
    """

    INPUT = "text"

    def __init__(self, translator, search):
        import tensorflow as tf

        self.source_tokenizer = translator.tokenizer
        self.target_tokenizer = translator.target_tokenizer
        self.model = search.model
        limit = translator.max_source_length - 1  # without EOS
        has_table = isinstance(translator.tokenizer, MarianTokenizer)
        self.split = (PieceSplitter if has_table else TextSplitter)(translator.tokenizer, limit)
        rows = [tf.RaggedTensorSpec((None, None), tf.int32)]
        self.search = tf.function(search, input_signature=rows, autograph=False)

    def tokenizers(self):
        """Returns the tokenizers, which belong to the SavedModel."""
        return {self.source_tokenizer, self.target_tokenizer}

    def functions(self):
        """Returns the functions of `text`, by the name of their endpoints, the default first."""
        return {
            "translate": self.translate,
            "translate_with_attention": self.translate_with_attention,
        }

    def translate(self, text):
        """Translates texts: the endpoint `translate`.

        Args:
            text: Strings, `(N,)`.

        Returns:
            A dict. `translation`: strings, `(N, top_beams)`, best first. `score`: float32,
            `(N, top_beams)`. Where fewer translations were found, "" and -inf.
        """
        rows, owner = self._tokenize(text)
        translation, score = self._join_pieces(text, owner, *self.search(rows))
        return {"translation": translation, "score": score}

    def translate_with_attention(self, text):
        """Translates texts and returns cross-attention: the endpoint `translate_with_attention`.

        If a text was split into several pieces, tokens and attention are those of the first piece.

        Args:
            text: Strings, `(N,)`.

        Returns:
            A dict. `translation` and `score`: `(N,)`, the best translation. `parts`: `(N,)`, the
            number of pieces of each text. `source_tokens`, `(N, S)`, and `target_tokens`,
            `(N, T)`: strings, EOS included, padded with "". `attention`: float32,
            `(N, layers, heads, T, S)`, 0 at padding.
        """
        import tensorflow as tf

        rows, owner = self._tokenize(text)
        ids, scores = self.search(rows)
        translation, score = self._join_pieces(text, owner, ids[:, :1], scores[:, :1])
        parts = self._count_parts(text, owner)
        # Texts without pieces take an extra row without ids.
        first = tf.where(parts > 0, tf.cumsum(parts, exclusive=True), tf.shape(owner)[0])
        rows = tf.concat([rows, tf.ragged.constant([[]], tf.int32, ragged_rank=1)], axis=0)
        source = tf.gather(rows, first).to_tensor(self.model.pad_id)
        target = tf.gather(tf.pad(ids[:, 0], [[0, 1], [0, 0]]), first)
        longest = tf.reduce_max(tf.reduce_sum(tf.cast(self._is_real(target), tf.int32), axis=1))
        target = target[:, : tf.maximum(longest, 0)]
        return {
            "translation": translation[:, 0],
            "score": score[:, 0],
            "parts": parts,
            "source_tokens": self._tokens(self.source_tokenizer, source),
            "target_tokens": self._tokens(self.target_tokenizer, target),
            "attention": self._attention(source, target),
        }

    def _tokenize(self, text):
        """Returns rows of ids, EOS included, and the text that each belongs to.

        An over-long text has several rows, a blank text has none.
        """
        import tensorflow as tf

        with tf.control_dependencies(self._checks(text)):
            text = tf.where(tf.strings.regex_full_match(text, BLANK), "", text)
        rows, tags = self._split_tags(text, self.split.tokenize(text))
        pieces, owner = self.split(rows, tags.row_lengths())
        pieces = self.split.ids(tf.concat([tf.gather(tags, owner), pieces], axis=1))
        eos = tf.fill((tf.shape(owner)[0], 1), self.source_tokenizer.eos_id)
        return tf.concat([pieces, tf.RaggedTensor.from_tensor(eos)], axis=1), owner

    def _checks(self, text):
        """Returns the operations that refuse texts with a language that the model lacks."""
        check = getattr(self.source_tokenizer, "check_tags_in_graph", None)
        return [] if check is None else [check(text)]

    def _split_tags(self, text, rows):
        """Takes the tags off the over-long rows, to be put before each of their pieces.

        Returns:
            Rows, ragged `(N, None)`, and the tokens of their tags, the same. Rows that are not too
            long keep their tags.
        """
        import tensorflow as tf

        tokenize = self.split.tokenize
        tags, rest = self.source_tokenizer.split_tags_in_graph(text)
        is_long = rows.row_lengths() > self.split.limit
        count = tokenize(tf.where(is_long, tags, "")).row_lengths()
        is_split = (count > 0) & (count < self.split.limit)
        is_kept = tf.gather(~is_split, rows.value_rowids())
        kept = tf.ragged.boolean_mask(rows, rows.with_values(is_kept))
        rows = tf.concat([kept, tokenize(tf.where(is_split, rest, ""))], axis=1)
        return rows, tokenize(tf.where(is_split, tags, ""))

    def _join_pieces(self, text, owner, ids, scores):
        """Joins the translations of each text's pieces, rank by rank, and adds up their scores."""
        import tensorflow as tf

        beams, count = scores.shape[1], tf.shape(text)[0]
        ids = known_ids(tf.reshape(ids, (-1, ids.shape[-1])), self.target_tokenizer)
        texts = self.target_tokenizer.detokenize_in_graph(ids)
        # The argument `separator=" "` of the join would skip empty texts.
        is_continuation = tf.concat([[False], owner[1:] == owner[:-1]], axis=0)
        is_continuation = is_continuation[: tf.shape(owner)[0], None]
        texts = tf.reshape(texts, (-1, beams))
        texts = tf.where(is_continuation, tf.strings.join([" ", texts]), texts)
        joined = tf.strings.unsorted_segment_join(texts, owner, count)
        score = tf.math.unsorted_segment_sum(scores, owner, count)
        is_empty = (self._count_parts(text, owner) == 0)[:, None]
        # An empty text has exactly one translation.
        score = tf.where(is_empty & (tf.range(beams) > 0), -float("inf"), score)
        return tf.where(score > -float("inf"), joined, ""), score

    def _count_parts(self, text, owner):
        """Returns the number of pieces of each text."""
        import tensorflow as tf

        return tf.math.unsorted_segment_sum(tf.ones_like(owner, tf.int32), owner, tf.shape(text)[0])

    def _is_real(self, ids):
        """Returns whether each id is not padding."""
        return keras.ops.not_equal(ids, self.model.pad_id)

    def _tokens(self, tokenizer, ids):
        """Returns the token of each id, "" at padding."""
        import tensorflow as tf

        size = tokenizer.vocabulary_size()
        names = tf.constant([tokenizer.id_to_token(id) for id in range(size)])
        return tf.where(self._is_real(ids), tf.gather(names, known_ids(ids, tokenizer)), "")

    def _attention(self, source, target):
        """Returns the cross-attention scores of a translation, 0 at padding."""
        import tensorflow as tf

        bos = tf.fill((tf.shape(target)[0], 1), self.target_tokenizer.bos_id)
        inputs = {"source": source, "target": tf.concat([bos, target[:, :-1]], axis=1)}
        _, scores = self.model(inputs, training=False, return_attention_scores=True)
        cross = stack_scores({"cross": scores["cross"]})["cross"]
        mask = self._is_real(target)[:, :, None] & self._is_real(source)[:, None, :]
        return tf.where(mask[:, None, None], cross, 0.0)
