"""Search in a TensorFlow graph: batches of any shape, mapped to a few static shapes."""

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

SIZES = (1, 8, 32)  # batch sizes; each pair of a size and a length has its own graph
RETRY_SIZE = 8  # largest batch size of the rows that need a longer result
PARALLEL_BATCHES = 2


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """Search options, with the meaning that they have in `Translator.translate`."""

    beam_size: int = 4
    top_beams: int = 1
    length_penalty: float = 0.6
    max_length: int | None = None


class SearchInGraph:
    """Search of `Translator` as a TensorFlow function of ragged ids.

    As in `Translator`, rows are padded to the next of a few lengths and collected into batches of a
    few sizes. Each of these shapes has one graph, with static shapes inside.

    Args:
        model: A built `Transformer`.
        bos_id: Integer. First token of the target.
        eos_id: Integer. Last token of the target.
        settings: `SearchSettings`.
        longest: Integer. Maximum number of ids in a row, EOS included.
        jit_compile: Boolean. Whether XLA compiles each graph when it is first used.
        shortlist: `Shortlist`, or `None`.
    """

    def __init__(self, model, bos_id, eos_id, settings, longest, jit_compile, shortlist=None):
        self.model = model
        self.special_ids = {"bos_id": bos_id, "eos_id": eos_id}
        self.settings = settings
        self.jit_compile = jit_compile
        self.shortlist = shortlist
        self.longest = longest
        self.lengths = self.padded_lengths()
        self.max_decode_len = max(self.decode_lengths(length)[-1] for length in self.lengths)
        self._graph = functools.cache(self._make_graph)

    def padded_lengths(self):
        """Returns the lengths to which rows are padded, ascending; `None` at the end is any."""
        return sorted({padded_length(tokens) for tokens in range(2, self.longest + 1)})

    def decode_lengths(self, length):
        """Returns the usual decode length and the full one, for results that need more."""
        usual, full = decode_lengths(length, self.settings.max_length or 0)
        longest_result = self.settings.max_length or length + EXTRA_LENGTH
        return [usual] if longest_result <= usual else [usual, full]

    def sizes(self, length):
        """Returns the batch sizes for rows of a length."""
        if length is None:
            return [1]
        return [size for size in SIZES if size == 1 or size * length <= POSITIONS]

    def shapes(self):
        """Returns a number of rows and of ids for each graph of the usual decode length."""
        return [
            (size, min(length, self.longest))
            for length in self.lengths
            if length is not None
            for size in self.sizes(length)
        ]

    def __call__(self, rows):
        """Runs the search for each row.

        Args:
            rows: Ragged int32 tensor, `(P, None)`, EOS included.

        Returns:
            Ids of the hypotheses, `(P, top_beams, max_decode_len)`, and their scores,
            `(P, top_beams)`.
        """
        import tensorflow as tf

        bounds = [length for length in self.lengths if length is not None]
        lengths = tf.searchsorted(bounds, tf.cast(rows.row_lengths(), tf.int32))
        places, results = [], []
        for number, length in enumerate(self.lengths):
            places.append(tf.where(lengths == number)[:, 0])
            results.append(self._search_length(tf.gather(rows, places[-1]), length))
        order = tf.argsort(tf.concat(places, axis=0))
        ids, scores = (tf.gather(tf.concat(part, 0), order) for part in zip(*results, strict=True))
        return ids, scores

    def _search_length(self, rows, length):
        """Runs the search for rows that are padded to the same length.

        Rows whose result may not fit into the usual decode length are searched again with the full
        one.
        """
        import tensorflow as tf

        source = rows.to_tensor(self.model.pad_id, shape=(None, length))
        limits = tf.cast(rows.row_lengths(), tf.int32) + EXTRA_LENGTH
        if self.settings.max_length is not None:
            limits = tf.fill(tf.shape(limits), self.settings.max_length)
        usual, *full = self.decode_lengths(length)
        ids, scores, complete = self._search_rows(source, limits, usual)
        if not full:
            return ids, scores

        def retry():
            incomplete = tf.where(~complete)
            inputs = (tf.gather_nd(part, incomplete) for part in (source, limits))
            size = min(RETRY_SIZE, self.sizes(length)[-1])
            new_ids, new_scores, _ = self._search_batches(*inputs, size, full[0])
            return (
                tf.tensor_scatter_nd_update(ids, incomplete, new_ids),
                tf.tensor_scatter_nd_update(scores, incomplete, new_scores),
            )

        return tf.cond(tf.reduce_all(complete), lambda: (ids, scores), retry)

    def _search_rows(self, source, limits, max_decode_len):
        """Searches in one batch of the smallest size that fits, or in several of the largest."""
        import tensorflow as tf

        count, sizes = tf.shape(source)[0], self.sizes(source.shape[1])
        beams = self.settings.top_beams

        def no_rows():
            ids = tf.zeros((0, beams, self.max_decode_len), tf.int32)
            return ids, tf.zeros((0, beams)), tf.zeros((0,), tf.bool)

        branches = [
            functools.partial(self._search_batches, source, limits, size, max_decode_len)
            for size in sizes
        ]
        too_small = tf.reduce_sum(tf.cast(count > sizes[:-1], tf.int32))
        return tf.switch_case(tf.where(count > 0, 1 + too_small, 0), [no_rows, *branches])

    def _search_batches(self, source, limits, size, max_decode_len):
        """Searches in batches of one size; rows that fill up the last batch have the limit 0."""
        import tensorflow as tf

        count, length = tf.shape(source)[0], source.shape[1]
        columns = tf.shape(source)[1] if length is None else length
        fill = -count % size
        source = tf.pad(source, [[0, fill], [0, 0]], constant_values=self.model.pad_id)
        batches = (
            tf.reshape(source, (-1, size, columns)),
            tf.reshape(tf.pad(limits, [[0, fill]]), (-1, size)),
        )
        graph = self._graph(size, length, max_decode_len)
        results = tf.map_fn(
            lambda batch: graph(*batch),
            batches,
            fn_output_signature=(tf.int32, tf.float32, tf.bool),
            parallel_iterations=PARALLEL_BATCHES,
        )
        beams = self.settings.top_beams
        ids = tf.reshape(results[0], (-1, beams, max_decode_len))[:count]
        ids = tf.pad(
            ids,
            [[0, 0], [0, 0], [0, self.max_decode_len - max_decode_len]],
            constant_values=self.model.pad_id,
        )
        scores, complete = tf.reshape(results[1], (-1, beams)), tf.reshape(results[2], (-1,))
        return ids, scores[:count], complete[:count]

    def _make_graph(self, size, length, max_decode_len):
        """Builds the graph of the search for one batch of static shape."""
        import tensorflow as tf

        def search(source, limits):
            hypotheses, complete = generate_all(
                self.model,
                source,
                limits,
                length=max_decode_len,
                slots=min(size, SLOTS),
                beam_size=self.settings.beam_size,
                top_beams=self.settings.top_beams,
                length_penalty=self.settings.length_penalty,
                shortlist=self.shortlist,
                **self.special_ids,
            )
            return hypotheses.ids, hypotheses.scores, complete

        graph = tf.function(
            search,
            jit_compile=self.jit_compile,
            autograph=False,
            experimental_attributes={"_noinline": True},  # instantiated on first use
        )
        # Saving traces the callers twice; a concrete function is traced only once.
        return graph.get_concrete_function(
            tf.TensorSpec((size, length), tf.int32), tf.TensorSpec((size,), tf.int32)
        )


class ContinuationInGraph(SearchInGraph):
    """Search of `TextGenerator`: rows are prompts, BOS included, and results are what follows.

    Prompts are of any length, unless the positions of the model are limited; one graph of a dynamic
    length reads those of more than `longest` tokens.
    """

    def padded_lengths(self):
        limit = self.model.max_positions
        if limit is None:
            return [*super().padded_lengths(), None]
        # The last token of a prompt and all but the last of its continuation take a position each.
        self.longest = limit - self.settings.max_length + 1
        return sorted({min(padded_length(n), limit) for n in range(1, self.longest + 1)})

    def decode_lengths(self, length):
        return [padded_length(self.settings.max_length, (32,))]
