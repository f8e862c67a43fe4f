"""What a served translator does, strings to strings, as functions of TensorFlow tensors."""

import keras

from keras_transformer.formats.saved_model.text_splitter import TextSplitter

# What `str.strip` takes away: nothing else is an empty text.
BLANK = r"[\p{Z}\t-\r\x1c-\x1f\x{85}]*"


class Endpoints:
    """The graph of a translator: tokenizer, search and all that is between.

    Args:
        translator: A `Translator` with `Tokenizer`s.
        search: `SearchInGraph` of its model, or of a copy.
    """

    def __init__(self, translator, search):
        import tensorflow as tf

        self.source_tokenizer = translator.tokenizer
        self.target_tokenizer = translator.target_tokenizer
        self.model = search.model
        self.cut = TextSplitter(translator.tokenizer, translator.max_source_length - 1)  # and EOS
        rows = [tf.RaggedTensorSpec((None, None), tf.int32)]
        self.search = tf.function(search, input_signature=rows, autograph=False)

    def translate(self, text):
        """The endpoint `translate`.

        Args:
            text: Strings, `(N,)`.

        Returns:
            `translation`: strings, `(N, top_beams)`, best first; those that do not exist are "".
            `score`: float32, `(N, top_beams)`; -inf where there is none.
        """
        rows, owner = self._rows(text)
        translation, score = self._joined(text, owner, *self.search(rows))
        return {"translation": translation, "score": score}

    def translate_with_attention(self, text):
        """The endpoint `translate_with_attention`: the best translation, and how it came about.

        Of a text in several pieces, tokens and attention are those of the first.

        Args:
            text: Strings, `(N,)`.

        Returns:
            `translation` and `score`, `(N,)`; `parts`, `(N,)`: in how many pieces each text was
            translated; `source_tokens`, `(N, S)`, and `target_tokens`, `(N, T)`: strings, EOS
            included, then ""; `attention`: float32, `(N, layers, heads, T, S)`, 0 at padding.
        """
        import tensorflow as tf

        rows, owner = self._rows(text)
        ids, scores = self.search(rows)
        translation, score = self._joined(text, owner, ids[:, :1], scores[:, :1])
        parts = self._parts(text, owner)
        # One row more, without ids, is that of texts without pieces.
        first = tf.where(parts > 0, tf.cumsum(parts, exclusive=True), tf.shape(owner)[0])
        rows = tf.concat([rows, tf.ragged.constant([[]], tf.int32, ragged_rank=1)], axis=0)
        source = tf.gather(rows, first).to_tensor(self.model.pad_id)
        target = tf.gather(tf.pad(ids[:, 0], [[0, 1], [0, 0]]), first)
        longest = tf.reduce_max(tf.reduce_sum(tf.cast(self._real(target), tf.int32), axis=1))
        target = target[:, : tf.maximum(longest, 0)]
        return {
            "translation": translation[:, 0],
            "score": score[:, 0],
            "parts": parts,
            "source_tokens": self._tokens(self.source_tokenizer, source),
            "target_tokens": self._tokens(self.target_tokenizer, target),
            "attention": self._attention(source, target),
        }

    def _rows(self, text):
        """Rows of ids, EOS included, and which text each is of; a blank text has none."""
        import tensorflow as tf

        text = tf.where(tf.strings.regex_full_match(text, BLANK), "", text)
        pieces, owner = self.cut(self.source_tokenizer.tokenize_in_graph(text))
        eos = tf.fill((tf.shape(owner)[0], 1), self.source_tokenizer.eos_id)
        return tf.concat([pieces, tf.RaggedTensor.from_tensor(eos)], axis=1), owner

    def _joined(self, text, owner, ids, scores):
        """Of each text, the translations of its pieces: best with best, second with second."""
        import tensorflow as tf

        beams, count = scores.shape[1], tf.shape(text)[0]
        tokenizer = self.target_tokenizer
        # A model may have more ids than its tokenizer knows.
        ids = tf.where(ids < tokenizer.vocabulary_size(), ids, tokenizer.unk_id)
        texts = tokenizer.detokenize_in_graph(tf.reshape(ids, (-1, ids.shape[-1])))
        # With `separator=" "` empty texts would not be counted.
        goes_on = tf.concat([[False], owner[1:] == owner[:-1]], axis=0)[: tf.shape(owner)[0]]
        texts = tf.reshape(texts, (-1, beams))
        texts = tf.where(goes_on[:, None], tf.strings.join([" ", texts]), texts)
        joined = tf.strings.unsorted_segment_join(texts, owner, count)
        score = tf.math.unsorted_segment_sum(scores, owner, count)
        nothing = (self._parts(text, owner) == 0)[:, None] & (tf.range(beams) > 0)
        score = tf.where(nothing, -float("inf"), score)  # an empty text has one translation
        return tf.where(score > -float("inf"), joined, ""), score

    def _parts(self, text, owner):
        import tensorflow as tf

        return tf.math.unsorted_segment_sum(tf.ones_like(owner, tf.int32), owner, tf.shape(text)[0])

    def _real(self, ids):
        return keras.ops.not_equal(ids, self.model.pad_id)

    def _tokens(self, tokenizer, ids):
        """What is behind each id; nothing behind padding."""
        import tensorflow as tf

        size = tokenizer.vocabulary_size()
        names = tf.constant([tokenizer.id_to_token(id) for id in range(size)])
        ids, real = tf.where(ids < size, ids, tokenizer.unk_id), self._real(ids)
        return tf.where(real, tf.gather(names, ids), "")

    def _attention(self, source, target):
        """How much each token attended to each of the source's when it was written."""
        import tensorflow as tf

        bos = tf.fill((tf.shape(target)[0], 1), self.target_tokenizer.bos_id)
        inputs = {"source": source, "target": tf.concat([bos, target[:, :-1]], axis=1)}
        _, scores = self.model(inputs, training=False, return_attention_scores=True)
        seen = self._real(target)[:, :, None] & self._real(source)[:, None, :]
        return tf.where(seen[:, None, None], tf.stack(scores["cross"], axis=1), 0.0)
