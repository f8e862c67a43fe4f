"""The search for rows of any number and length, in a TensorFlow graph of few static shapes."""

import dataclasses
import functools

from keras_transformer.decoding import generate_all
from keras_transformer.translation.batch_shapes import (
    EXTRA_LENGTH,
    POSITIONS,
    SLOTS,
    decode_lengths,
    padded_length,
)

SIZES = (1, 8, 32)  # rows in a batch: every size is a graph of its own for every length
SECOND_SIZE = 8  # of the rows that turn out to need more room
AT_A_TIME = 2  # batches


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """How translations are searched for; see `Translator.translate`."""

    beam_size: int = 4
    top_beams: int = 1
    length_penalty: float = 0.6
    max_length: int | None = None


class SearchInGraph:
    """What `Translator` finds, as a function of ragged ids.

    Rows are padded to the next of a few lengths and put into batches of a few sizes, as the live
    translator does: for each of these shapes there is one graph, with constant shapes inside.

    Args:
        model: A built `Transformer`.
        bos_id: Integer. The target's first token.
        eos_id: Integer. The target's last token.
        settings: `SearchSettings`.
        longest: Integer. The most ids that a row may have, EOS included.
        jit_compile: Boolean. Whether XLA compiles each graph when it is first used.
    """

    def __init__(self, model, bos_id, eos_id, settings, longest, jit_compile):
        self.model = model
        self.ends = {"bos_id": bos_id, "eos_id": eos_id}
        self.settings = settings
        self.jit_compile = jit_compile
        self.longest = longest
        self.lengths = sorted({padded_length(tokens) for tokens in range(2, longest + 1)})
        self.max_decode_len = max(self.decode_lengths(length)[-1] for length in self.lengths)
        self._graph = functools.cache(self._make_graph)

    def decode_lengths(self, length):
        """Returns the usual decode length and the full one, for results that need more."""
        usual, full = decode_lengths(length, self.settings.max_length or 0)
        most = self.settings.max_length or length + EXTRA_LENGTH
        return [usual] if most <= usual else [usual, full]

    def sizes(self, length):
        """How many rows of a length a batch may have."""
        return [size for size in SIZES if size == 1 or size * length <= POSITIONS]

    def shapes(self):
        """Numbers of rows and of ids that need each of the usual graphs."""
        return [
            (size, min(length, self.longest))
            for length in self.lengths
            for size in self.sizes(length)
        ]

    def __call__(self, rows):
        """Searches for each row.

        Args:
            rows: Ragged int32 tensor, `(P, None)`, EOS included.

        Returns:
            Ids of the results, `(P, top_beams, max_decode_len)`, and scores, `(P, top_beams)`.
        """
        import tensorflow as tf

        lengths = tf.searchsorted(self.lengths, tf.cast(rows.row_lengths(), tf.int32))
        places, found = [], []
        for number, length in enumerate(self.lengths):
            places.append(tf.where(lengths == number)[:, 0])
            found.append(self._of_length(tf.gather(rows, places[-1]), length))
        order = tf.argsort(tf.concat(places, axis=0))
        ids, scores = (tf.gather(tf.concat(part, 0), order) for part in zip(*found, strict=True))
        return ids, scores

    def _of_length(self, rows, length):
        """For rows that are padded to one length."""
        import tensorflow as tf

        source = rows.to_tensor(self.model.pad_id, shape=(None, length))
        limits = tf.cast(rows.row_lengths(), tf.int32) + EXTRA_LENGTH
        if self.settings.max_length is not None:
            limits = tf.fill(tf.shape(limits), self.settings.max_length)
        usual, *full = self.decode_lengths(length)
        ids, scores, complete = self._of_any_number(source, limits, usual)
        if not full:
            return ids, scores

        def once_more():
            waiting = tf.where(~complete)
            asked = (tf.gather_nd(part, waiting) for part in (source, limits))
            size = min(SECOND_SIZE, self.sizes(length)[-1])
            more_ids, more_scores, _ = self._in_batches(*asked, size, full[0])
            return (
                tf.tensor_scatter_nd_update(ids, waiting, more_ids),
                tf.tensor_scatter_nd_update(scores, waiting, more_scores),
            )

        return tf.cond(tf.reduce_all(complete), lambda: (ids, scores), once_more)

    def _of_any_number(self, source, limits, max_decode_len):
        """In batches of the smallest size that holds all rows, or several of the largest."""
        import tensorflow as tf

        count, sizes = tf.shape(source)[0], self.sizes(source.shape[1])
        beams = self.settings.top_beams

        def nothing():
            ids = tf.zeros((0, beams, self.max_decode_len), tf.int32)
            return ids, tf.zeros((0, beams)), tf.zeros((0,), tf.bool)

        branches = [
            functools.partial(self._in_batches, source, limits, size, max_decode_len)
            for size in sizes
        ]
        larger_than = tf.reduce_sum(tf.cast(count > sizes[:-1], tf.int32))
        return tf.switch_case(tf.where(count > 0, 1 + larger_than, 0), [nothing, *branches])

    def _in_batches(self, source, limits, size, max_decode_len):
        """All rows in batches of one size; nothing is asked of rows that fill the last one up."""
        import tensorflow as tf

        count, length = tf.shape(source)[0], source.shape[1]
        fill = -count % size
        source = tf.pad(source, [[0, fill], [0, 0]], constant_values=self.model.pad_id)
        batches = (
            tf.reshape(source, (-1, size, length)),
            tf.reshape(tf.pad(limits, [[0, fill]]), (-1, size)),
        )
        graph = self._graph(size, length, max_decode_len)
        found = tf.map_fn(
            lambda batch: graph(*batch),
            batches,
            fn_output_signature=(tf.int32, tf.float32, tf.bool),
            parallel_iterations=AT_A_TIME,
        )
        beams = self.settings.top_beams
        ids = tf.reshape(found[0], (-1, beams, max_decode_len))[:count]
        ids = tf.pad(
            ids,
            [[0, 0], [0, 0], [0, self.max_decode_len - max_decode_len]],
            constant_values=self.model.pad_id,
        )
        scores, complete = tf.reshape(found[1], (-1, beams)), tf.reshape(found[2], (-1,))
        return ids, scores[:count], complete[:count]

    def _make_graph(self, size, length, max_decode_len):
        """The search for one batch of constant shape."""
        import tensorflow as tf

        def search(source, limits):
            found, complete = generate_all(
                self.model,
                source,
                limits,
                length=max_decode_len,
                slots=min(size, SLOTS),
                beam_size=self.settings.beam_size,
                top_beams=self.settings.top_beams,
                length_penalty=self.settings.length_penalty,
                **self.ends,
            )
            return found.ids, found.scores, complete

        graph = tf.function(
            search,
            jit_compile=self.jit_compile,
            autograph=False,
            experimental_attributes={"_noinline": True},  # made ready when it is first needed
        )
        # What calls it is traced twice on saving; this is not.
        return graph.get_concrete_function(
            tf.TensorSpec((size, length), tf.int32), tf.TensorSpec((size,), tf.int32)
        )
