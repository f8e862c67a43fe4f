"""Search and attention of one sentence after another, by programs that are compiled once."""

import functools
from typing import NamedTuple

import numpy as np
from keras import ops

from keras_transformer.decoding import BeamSearch, generate
from keras_transformer.decoding.beam_search import SearchLimits
from keras_transformer.decoding.logits_processor import LogitsRules, mask_logits
from keras_transformer.illustrate import extraction
from keras_transformer.illustrate.attention_view import Attention
from keras_transformer.illustrate.search_view import SearchStep
from keras_transformer.translation.batch_shapes import EXTRA_LENGTH, pad_rows, padded_length
from keras_transformer.translation.compilation import compiled
from keras_transformer.translation.preparation import padded_lengths
from keras_transformer.translation.scoring import all_attention

WORDS = 5  # most probable next tokens of a beam that are recorded, and shown


class Explanation(NamedTuple):
    """Record of the translation of a sentence.

    Attributes:
        source: Ids of the sentence, EOS included.
        steps: The `SearchStep`s.
        hypotheses: Results of the search, best first, as `search_figure` takes them.
        attention: `Attention` of the sentence and the best hypothesis; `None` if the model has no
            attention scores.
    """

    source: list[int]
    steps: list[SearchStep]
    hypotheses: list[dict]
    attention: Attention | None


class Explainer:
    """Translates sentences by the search of `Translator.translate`, and records each step.

    Args:
        translator: `Translator`.
        longest: Maximum number of tokens of a sentence, EOS included.
        beam_size: Number of beams, and of hypotheses.
        length_penalty, max_length, no_repeat_ngram_size: As of `translate`.
    """

    def __init__(
        self,
        translator,
        longest: int,
        beam_size: int = 4,
        length_penalty: float = 0.6,
        max_length: int | None = None,
        no_repeat_ngram_size: int = 0,
    ):
        self.translator, self.beam_size = translator, beam_size
        self.longest = min(longest, translator.max_source_length)
        self.has_attention = True
        self._max_length = max_length
        model, tokenizer = translator.model, translator.target_tokenizer
        options = {
            "bos_id": tokenizer.bos_id,
            "eos_id": tokenizer.eos_id,
            "beam_size": beam_size,
            "top_beams": beam_size,
            "length_penalty": length_penalty,
            "no_repeat_ngram_size": no_repeat_ngram_size,
        }
        record = functools.partial(generate, model, search=recording_search, **options)
        self._record = compiled(record, model)
        attend = functools.partial(
            all_attention,
            model,
            bos_id=tokenizer.bos_id,
            with_positions=bool(extraction.compressions_of(model)),
        )
        self._attend = compiled(attend, model)

    def prepare(self) -> int:
        """Compiles all programs; finds out whether the model has attention scores.

        Returns:
            The number of programs.
        """
        sizes = [self._sizes(length) for length in padded_lengths(self.longest)]
        eos = self.translator.target_tokenizer.eos_id
        for length, _ in sizes:
            self.search([self.translator.tokenizer.eos_id], length)
        try:
            for length, _ in sizes:
                self.attention([self.translator.tokenizer.eos_id], [eos], length)
        except ValueError:
            self.has_attention = False
        return len(sizes) * (1 + self.has_attention)

    def explain(self, text: str) -> Explanation:
        """Translates a sentence, and returns how.

        Raises:
            ValueError: The sentence is empty or too long.
        """
        source, _ = extraction.ids_of(self.translator, text, "")
        if not 1 < len(source) <= self.longest:
            raise ValueError(
                f"A sentence that is explained has 1 to {self.longest - 1} tokens. "
                f"Received: {len(source) - 1}"
            )
        steps, hypotheses = self.search(source)
        attention = None
        if self.has_attention:
            attention = self.attention(source, list(hypotheses[0]["ids"]))
        return Explanation(source, steps, hypotheses, attention)

    def search(self, source: list[int], length: int = 0) -> tuple[list[SearchStep], list[dict]]:
        """Runs the search for a sentence, given as ids with EOS.

        Args:
            source: The ids.
            length: Length to which they are padded; by default the shortest one.
        """
        length, longest = self._sizes(max(length, padded_length(len(source))))
        limits = np.array([self._max_length or len(source) + EXTRA_LENGTH], "int32")
        source_ids = pad_rows([source], (1, length), self.translator.model.pad_id)
        hypotheses, records = self._record(source_ids, limits, length=longest)
        steps = search_steps(*(ops.convert_to_numpy(one) for one in records))
        return steps, extraction.hypotheses_of(hypotheses, self.translator.model.pad_id)

    def attention(self, source: list[int], target: list[int], length: int = 0) -> Attention:
        """Returns the attention scores of a sentence and its translation, as ids with EOS."""
        pad_id, target_tokenizer = self.translator.model.pad_id, self.translator.target_tokenizer
        length, longest = self._sizes(max(length, padded_length(len(source))))
        rows = pad_rows([source], (1, length), pad_id), pad_rows([target], (1, longest), pad_id)
        S, T = len(source), len(target)
        scores = [ops.convert_to_numpy(one)[0] for one in self._attend(*rows)]
        encoder, decoder, cross = scores[0][..., :S, :S], scores[1][..., :T, :T], scores[2]
        read = [target_tokenizer.bos_id, *target[:-1]]
        return Attention(
            source=extraction.tokens_of(self.translator.tokenizer, source),
            written=extraction.tokens_of(target_tokenizer, target),
            read=extraction.tokens_of(target_tokenizer, read),
            encoder=encoder,
            decoder=extraction.divided_scores(self.translator.model, decoder),
            cross=cross[..., :T, :S],
        )

    def _sizes(self, length: int) -> tuple[int, int]:
        """Returns the padded length of sources, and the length of what is written for them."""
        return length, self._max_length or length + EXTRA_LENGTH


def recording_search(step, state, max_lengths, *, length, **options):
    """Searches as `beam_search` does for one sentence, and records every step.

    Returns:
        `Hypotheses`, and a tuple of tensors: the number of steps; before each step and after the
        last one, the ids `(L + 1, W, L)` and the log-probabilities `(L + 1, W)` of the live beams;
        at each step, the ids and the log-probabilities of the most probable next tokens of each
        beam, `(L, W, K)`.
    """
    search, limits = BeamSearch(length, **options), SearchLimits(ops.cast(max_lengths, "int32"))
    n = search.no_repeat_ngram_size
    rules = LogitsRules(search.eos_id, search.pad_id, no_repeat_ngram_size=n)
    W, K = search.beam_size, max(2 * search.beam_size, WORDS)

    def record(index, beam_state, state, records):
        live = beam_state.live
        logits, state = step(live.tokens, index, live.ancestry, state)
        after = search.step(beam_state, limits, logits, index + 1)
        best, tokens = _next_tokens(logits, index, live.ids, rules, K)
        found = (after.live.ids[0], after.live.log_probs[0], tokens[0], best[0])
        places = (index + 1, index + 1, index, index)
        records = tuple(map(_written, records, places, found))
        return index + 1, after, state, records

    begin = search.initialize(max_lengths.shape[0])
    records = (
        ops.zeros((length + 1, W, length), "int32"),
        ops.broadcast_to(begin.live.log_probs, (length + 1, W)),
        ops.zeros((length, W, K), "int32"),
        ops.zeros((length, W, K), "float32"),
    )
    count, beam_state, _, records = ops.while_loop(
        lambda index, beam_state, *_: ops.any(search.is_active(beam_state, limits)),
        record,
        (ops.zeros((), "int32"), begin, state, records),
        maximum_iterations=length,
    )
    return search.finalize(beam_state, limits), (count, *records)


def _next_tokens(logits, index, ids, rules, count: int):
    """Returns the log-probabilities of the most probable allowed next tokens, and the tokens."""
    logits = ops.cast(logits, "float32")
    allowed = mask_logits(logits, index, ids, rules)
    best, tokens = ops.top_k(allowed, min(count, logits.shape[-1]))
    missing = [(0, 0), (0, 0), (0, count - best.shape[-1])]
    log_probs = best - ops.logsumexp(logits, axis=-1, keepdims=True)
    return ops.pad(log_probs, missing, constant_values=-np.inf), ops.pad(tokens, missing)


def _written(records, place, found):
    """Returns records with what was found at a place."""
    at_place = ops.equal(ops.arange(records.shape[0], dtype="int32"), place)
    at_place = ops.reshape(at_place, (-1, *(1 for _ in found.shape)))
    return ops.where(at_place, ops.cast(found, records.dtype)[None], records)


def search_steps(count, ids, log_probs, tokens, next_log_probs) -> list[SearchStep]:
    """Converts the records of `recording_search` to a list of `SearchStep`."""
    live = [np.flatnonzero(row > -np.inf) for row in log_probs]
    beams = [
        [tuple(ids[index, beam, :index].tolist()) for beam in live[index]]
        for index in range(int(count) + 1)
    ]
    return [
        SearchStep(
            beams=beams[index],
            log_probs=log_probs[index, live[index]].tolist(),
            next_log_probs=next_log_probs[index, live[index]],
            kept=beams[index + 1],
            next_ids=tokens[index, live[index]],
        )
        for index in range(int(count))
    ]
