"""The endpoint of a served language model: a TensorFlow function from prompts to texts."""

from keras_transformer.formats.saved_model.endpoints import known_ids


class ContinuationEndpoints:
    """The endpoint of a text generator: tokenization, search and detokenization in a graph.

    Args:
        generator: A `TextGenerator` whose tokenizer is a `Tokenizer`.
        search: `ContinuationInGraph` of the generator's model, or of a copy of it.
    """

    INPUT = "prompt"

    def __init__(self, generator, search):
        import tensorflow as tf

        self.tokenizer = generator.tokenizer
        self.max_positions = search.model.max_positions
        self.longest = search.longest
        rows = [tf.RaggedTensorSpec((None, None), tf.int32)]
        self.search = tf.function(search, input_signature=rows, autograph=False)

    def tokenizers(self):
        """Returns the tokenizers, which belong to the SavedModel."""
        return {self.tokenizer}

    def functions(self):
        """Returns the functions of `prompt`, by the name of their endpoints, the default first."""
        return {"generate": self.generate}

    def generate(self, prompt):
        """Continues prompts: the endpoint `generate`.

        Args:
            prompt: Strings, `(N,)`.

        Returns:
            A dict. `text`: strings, `(N, top_beams)`, best first, which start with the prompt.
            `score`: float32, `(N, top_beams)`. Where fewer texts were found, "" and -inf.
        """
        import tensorflow as tf

        rows = self.tokenizer.tokenize_in_graph(prompt)
        bos = tf.fill((tf.shape(prompt)[0], 1), self.tokenizer.bos_id)
        with tf.control_dependencies(self._checks(rows)):
            ids, score = self.search(tf.concat([bos, rows], axis=1))
        beams = score.shape[1]
        owner = tf.repeat(tf.range(tf.shape(prompt)[0]), beams)
        ids = known_ids(tf.reshape(ids, (-1, ids.shape[-1])), self.tokenizer)
        text = self.tokenizer.detokenize_in_graph(tf.concat([tf.gather(rows, owner), ids], axis=1))
        text = tf.reshape(text, (-1, beams))
        return {"text": tf.where(score > -float("inf"), text, ""), "score": score}

    def _checks(self, rows):
        """Returns the operations that refuse prompts that leave no room among the positions."""
        import tensorflow as tf

        if self.max_positions is None:
            return []
        message = (
            f"The model has learned {self.max_positions} positions, so a prompt may have "
            f"{self.longest - 1} tokens: give shorter prompts, or export it with a lower "
            "max_length."
        )
        limit = tf.cast(self.longest - 1, tf.int64)
        return [tf.debugging.assert_less_equal(rows.row_lengths(), limit, message)]
