"""States that layers inherit follow the beams of the package's own searches."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer import beam_search
from keras_transformer.decoding.beam_search import BeamSearch, SearchLimits
from keras_transformer.decoding.continuous_batching import continuous_beam_search
from keras_transformer.decoding.hypotheses import IMPOSSIBLE
from keras_transformer.layers import DecodingStep
from tests.decoding.languages import BOS, EOS, Language, rare_ends, search_in_turns

L, V, W, SLOTS, SENTENCES = 11, 7, 5, 3, 17
MAX_LENGTHS = np.random.default_rng(5).choice([2, 3, 5, 8, L], SENTENCES).astype("int32")


def step_at(positions, place, ancestry):
    return DecodingStep(place, positions, ops.equal(positions, 0), ancestry)


@dataclasses.dataclass(frozen=True)
class WatchedSearch(BeamSearch):
    """Notes what the beams of each slot have written, and which of the searches go on."""

    seen: dict = dataclasses.field(default_factory=dict)

    def step(self, beam_state, limits, logits, next_place):
        new = super().step(beam_state, limits, logits, next_place)
        self.seen["ids"] = ops.convert_to_numpy(new.live.ids)
        self.seen["exist"] = ops.convert_to_numpy(new.live.log_probs) > IMPOSSIBLE
        self.seen["active"] = ops.convert_to_numpy(self.is_active(new, limits))
        return new


def test_every_live_beam_has_its_own_history():
    language = Language(3, SENTENCES, L, V, change=rare_ends)
    search = WatchedSearch(L, BOS, EOS, 0, W, W)
    compared = []

    def step(tokens, positions, place, ancestry, state):
        memory, histories = state
        at = step_at(positions, place, ancestry)
        histories = np.array(ops.convert_to_numpy(at.inherit(histories, 0)))
        for b, position in enumerate(ops.convert_to_numpy(positions)):
            histories[b, :, position] = ops.convert_to_numpy(tokens)[b]
            if position > 0 and search.seen["active"][b]:
                exist = search.seen["exist"][b]
                assert (histories[b, exist, 0] == BOS).all()
                np.testing.assert_array_equal(
                    histories[b, exist, 1 : position + 1], search.seen["ids"][b, exist, :position]
                )
                compared.extend(histories[b, exist, : position + 1].tolist())
        logits, memory = language.turn(tokens, positions, place, ancestry, memory)
        return logits, (memory, histories)

    def load(sentences, state):
        memory, histories = state
        return language.load(sentences, memory), histories

    memory = language.of([0] * SLOTS).state(L, W)
    state = memory, np.full((SLOTS, W, L), -1, "int32")
    _, complete = continuous_beam_search(
        search, step, load, state, SearchLimits(ops.convert_to_tensor(MAX_LENGTHS)), SLOTS
    )
    assert ops.convert_to_numpy(complete).all()
    assert len(compared) > 10 * SENTENCES


class LanguageWithState(Language):
    """The same language; what a beam has written is summed up in a state that it inherits."""

    step_class = DecodingStep

    def turn(self, tokens, positions, place, ancestry, state):
        written, starts = state
        numbers = ops.take(self.numbers, (positions * self.numbers.shape[1])[:, None] + tokens)
        at = self.step_class(*step_at(positions, place, ancestry))
        written = at.inherit(written, 0) + numbers
        logits = ops.take(self.logits, (starts[:, None] + written) % len(self.logits), axis=0)
        return logits, (written, starts)

    def state(self, places, beam_size):
        memory, starts = super().state(places, beam_size)
        return memory[:, 0], starts


class StatesStay(DecodingStep):
    def inherit(self, state, initial):
        return ops.where(self.first[:, None], initial, state)


class LanguageWithoutInheritance(LanguageWithState):
    step_class = StatesStay


def found(language, slots):
    """Hypotheses with continuous batching, or of `beam_search` without slots."""

    @tf.function(autograph=False)
    def search():
        if slots:
            limits = SearchLimits(ops.convert_to_tensor(MAX_LENGTHS))
            return search_in_turns(language, limits, slots, beam_size=W, top_beams=W)[0]
        return beam_search(
            language.step, language.state(L, W), MAX_LENGTHS, length=L, bos_id=BOS, eos_id=EOS,
            beam_size=W, top_beams=W,
        )  # fmt: skip

    return search()


@pytest.mark.slow
@pytest.mark.parametrize("slots", [SLOTS, None], ids=["continuous", "plain"])
def test_a_search_finds_the_same_with_a_state_as_with_a_cache(slots):
    with_cache = found(Language(3, SENTENCES, L, V, change=rare_ends), slots)
    with_state = found(LanguageWithState(3, SENTENCES, L, V, change=rare_ends), slots)
    np.testing.assert_array_equal(with_state.ids, with_cache.ids)
    np.testing.assert_allclose(with_state.scores, with_cache.scores, atol=1e-5)
    wrong = found(LanguageWithoutInheritance(3, SENTENCES, L, V, change=rare_ends), slots)
    assert (wrong.ids.numpy() != with_cache.ids.numpy()).any(axis=(1, 2)).mean() > 0.5
