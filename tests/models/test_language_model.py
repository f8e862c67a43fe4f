"""A decoder-only model: what it sees, how it trains, and what it continues prompts with."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.decoding import sample
from keras_transformer.decoding.generate import generate_all
from tests.toy_parts import CannotRead
from tests.weights import randomize

PAD, BOS, EOS, V, D = 0, 1, 2, 6, 8
PROMPTS = np.array([[BOS, 4, 3, 5, 5, 3], [BOS, 0, 0, 0, 0, 0], [BOS, 5, 4, 0, 0, 0]], "int32")
LIMITS = np.array([4, 4, 3], "int32")
L = 4
IDS = {"bos_id": BOS, "eos_id": EOS}


def language_model(self_attention=None, **options):
    block = kt.DecoderBlock(
        D, 2, 16, dropout_rate=0.0, cross_attention=False, self_attention=self_attention
    )
    blocks = [block, kt.RecurrentBlock(keras.layers.GRUCell(D), dropout_rate=0.0)]
    model = kt.LanguageModel(kt.PositionalEmbedding(V, D, **options), kt.DecoderStack(blocks))
    model.build()
    return model


@pytest.fixture(scope="module")
def model():
    return randomize(language_model(kt.SeparableConvolution(D, 3)), seed=3)


@pytest.fixture(scope="module")
def attention_model():
    return randomize(language_model(), seed=4)


@pytest.fixture(scope="module")
def long_model():
    """The model for long texts of Liu et al., 2018: local and compressed attention in turns."""

    def local():
        return kt.MultiHeadAttention(D, 2, attention=kt.LocalAttention(3, look_back=0))

    def compressed():
        return kt.MemoryCompressedAttention(D, 2, compression=3)

    parts = [local(), compressed(), local(), compressed(), local()]
    blocks = [
        kt.DecoderBlock(D, 2, 16, 0.0, cross_attention=False, self_attention=p) for p in parts
    ]
    model = kt.LanguageModel(kt.PositionalEmbedding(V, D), kt.DecoderStack(blocks))
    model.build()
    return randomize(model, seed=5)


def log_probs_of(model, prompt, continuations):
    """The sums of the log-probabilities of continuations, by one call on the whole texts."""
    texts = np.zeros((len(continuations), len(prompt) + L), "int32")
    for row, tokens in enumerate(continuations):
        texts[row, : len(prompt) + len(tokens)] = [*prompt, *tokens]
    table = ops.convert_to_numpy(ops.log_softmax(model({"target": texts})))
    return [
        float(sum(table[row, len(prompt) - 1 + i, token] for i, token in enumerate(tokens)))
        for row, tokens in enumerate(continuations)
    ]


def prompt_of(row):
    return [int(id) for id in PROMPTS[row] if id != PAD]


def all_continuations(limit):
    """Every continuation that ends with EOS within a limit."""
    tokens = [id for id in range(V) if id not in (PAD, EOS)]
    for length in range(limit):
        for some in itertools.product(tokens, repeat=length):
            yield [*some, EOS]


def best_by_enumeration(model, row):
    candidates = list(all_continuations(LIMITS[row]))
    return max(zip(log_probs_of(model, prompt_of(row), candidates), candidates, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("continuous", [False, True])
def test_a_wide_beam_finds_the_best_of_all_continuations(attention_model, continuous):
    options = {**IDS, "length": L, "beam_size": 64, "length_penalty": 0.0}
    inputs = attention_model, ops.convert_to_tensor(PROMPTS), ops.convert_to_tensor(LIMITS)
    if continuous:  # one slot, refilled for each prompt
        found, complete = generate_all(*inputs, slots=1, **options)
        assert ops.convert_to_numpy(complete).all()
    else:
        found = kt.generate(*inputs, **options)
    for row in range(len(PROMPTS)):
        log_prob, tokens = best_by_enumeration(attention_model, row)
        assert [int(id) for id in found.ids[row, 0] if id != PAD] == tokens
        assert float(found.log_probs[row, 0]) == pytest.approx(log_prob, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("continuous", [False, True])
def test_prompts_of_all_lengths_go_on_as_by_whole_texts(long_model, continuous):
    prompts = np.random.default_rng(2).integers(3, V, (9, 9)).astype("int32")
    prompts[:, 0] = BOS
    prompts[~np.tri(9, dtype=bool)] = PAD  # 1 to 9 tokens
    inputs = ops.convert_to_tensor(prompts), ops.convert_to_tensor(np.full(9, 8, "int32"))
    options = {**IDS, "length": 8, "beam_size": 1}
    if continuous:
        found, _ = generate_all(long_model, *inputs, slots=2, **options)
    else:
        found = kt.generate(long_model, *inputs, **options)
    texts = greedy(long_model, prompts, 8)
    for row, ids in enumerate(ops.convert_to_numpy(found.ids)[:, 0]):
        continuation = texts[row, row + 1 : row + 9]
        assert [id for id in ids if id != PAD] == [id for id in continuation if id != PAD]
    assert len({tuple(texts[row, row + 1 : row + 9]) for row in range(9)}) > 4


def test_scores_of_other_shapes_are_returned_as_a_list_only(long_model):
    texts = np.array([[BOS, 4, 3, 5, 5, 3, 4]])
    with pytest.raises(ValueError, match=r"decoder has the shapes .* \[\(2, 7, 3\), \(2, 7, 7\)\]"):
        long_model.attention(texts)
    _, scores = long_model({"target": texts}, return_attention_scores=True)
    assert [block.shape[-1] for block in scores["decoder"]] == [7, 3, 7, 3, 7]


def greedy(model, prompts, limit):
    """Writes the most probable token after each whole text, again and again, without a cache."""
    texts = np.pad(prompts, ((0, 0), (0, limit)))
    rows, ends = np.arange(len(texts)), (texts != PAD).sum(1)
    for _ in range(limit):
        logits = ops.convert_to_numpy(model({"target": texts}))[rows, ends - 1]
        logits[:, [PAD, BOS]] = -np.inf
        texts[rows, ends] = np.where(texts[rows, ends - 1] == EOS, PAD, logits.argmax(-1))
        ends += texts[rows, ends] != PAD
    return texts


@pytest.mark.slow
def test_hypotheses_and_samples_have_the_scores_of_the_whole_text(model):
    options = {**IDS, "length": L, "beam_size": 5, "length_penalty": 0.0}
    inputs = model, ops.convert_to_tensor(PROMPTS), ops.convert_to_tensor(LIMITS)
    beams = kt.generate(*inputs, top_beams=5, **options)
    samples = kt.generate(*inputs, search=sample, **options)
    compared = 0
    for found, row, n in itertools.product((beams, samples), range(len(PROMPTS)), range(5)):
        tokens = [int(id) for id in found.ids[row, n] if id != PAD]
        if tokens:
            [expected] = log_probs_of(model, prompt_of(row), [tokens])
            assert float(found.log_probs[row, n]) == pytest.approx(expected, abs=1e-4)
            compared += 1
    assert compared > 15


@pytest.mark.slow
def test_a_prompt_alone_has_the_results_that_it_has_among_others(model):
    options = {**IDS, "length": L, "beam_size": 3, "top_beams": 3}
    together = kt.generate(
        model, ops.convert_to_tensor(PROMPTS), ops.convert_to_tensor(LIMITS), **options
    )
    for row in range(len(PROMPTS)):
        alone = kt.generate(
            model,
            ops.convert_to_tensor(np.array([prompt_of(row)])),
            ops.convert_to_tensor(LIMITS[row : row + 1]),
            **options,
        )
        assert alone.ids[0].numpy().tolist() == together.ids[row].numpy().tolist()
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-5)


@pytest.mark.slow
def test_texts_that_begin_with_bos_alone_need_no_prompt(long_model):
    """There is nothing to read, and nothing to attend to at every step."""
    alone = np.full((2, 1), BOS, "int32")
    assert long_model.encode(alone).blocks == []
    limits, options = np.array([4, 3]), {"length": L, **IDS}
    expected = kt.generate(long_model, np.pad(alone, ((0, 0), (0, 2))), limits, **options)
    for actual in (
        kt.generate(long_model, alone, limits, **options),
        generate_all(long_model, alone, limits, slots=1, **options)[0],
    ):
        np.testing.assert_array_equal(actual.ids, expected.ids)
        np.testing.assert_allclose(actual.scores, expected.scores, rtol=1e-5)


def test_logits_do_not_depend_on_what_follows(model, attention_model):
    one = np.array([[BOS, 4, 5, 3, 5, 5, EOS]], "int32")
    other = np.array([[BOS, 4, 5, 3, 3, EOS, 0]], "int32")
    for any_model in (model, attention_model):
        logits, others = (ops.convert_to_numpy(any_model({"target": ids})) for ids in (one, other))
        np.testing.assert_allclose(logits[:, :4], others[:, :4], atol=1e-5)
        assert np.abs(logits[:, 4] - others[:, 4]).max() > 1e-3


def test_texts_of_a_packed_row_do_not_see_each_other(attention_model):
    packed = {
        "target": np.array([[BOS, 4, 5, BOS, 3, 5, 0]]),
        "target_segments": np.array([[1, 1, 1, 2, 2, 2, 0]]),
        "target_positions": np.array([[0, 1, 2, 0, 1, 2, 0]]),
    }
    logits = ops.convert_to_numpy(attention_model(packed))[0]
    for start, ids in ((0, [BOS, 4, 5]), (3, [BOS, 3, 5])):
        alone = ops.convert_to_numpy(attention_model({"target": np.array([ids])}))[0]
        np.testing.assert_allclose(logits[start : start + 3], alone, atol=1e-5)


def compiled_model():
    keras.utils.set_random_seed(5)
    model = language_model()
    model.compile(
        keras.optimizers.Adam(0.02),
        kt.TokenCrossEntropy(),
        metrics=[kt.TokenAccuracy(), kt.Perplexity()],
    )
    return model


@pytest.mark.slow
def test_it_learns_to_count():
    texts = np.array([[BOS, 3, 4, 5, 3, 4, 5], [BOS, 4, 5, 3, 4, 5, 3]], "int32")
    labels = np.concatenate([texts[:, 1:], [[3], [4]]], axis=1)
    model = compiled_model()
    history = model.fit({"target": texts}, labels, epochs=40, verbose=0).history
    assert history["accuracy"][-1] > 0.9  # of the first token there are two
    prompt = ops.convert_to_tensor(np.array([[BOS, 5, 3]], "int32"))
    found = kt.generate(model, prompt, ops.convert_to_tensor([4]), length=4, beam_size=1, **IDS)
    assert found.ids[0, 0].numpy().tolist() == [4, 5, 3, 4]


def test_ids_and_inputs_are_checked():
    model, ids = compiled_model(), np.array([[BOS, V]])
    with pytest.raises(ValueError, match=f"`target` holds the id {V} at"):
        model.fit({"target": ids}, np.array([[3, 4]]), verbose=0)
    with pytest.raises(ValueError, match="`labels` holds the id"):
        model.fit({"target": np.array([[3, 4]])}, ids, verbose=0)
    with pytest.raises(ValueError, match=r'"target" of shape \(B, T\). Received: \[\'source\'\]'):
        model({"source": ids})


@pytest.mark.slow
def test_the_loss_without_logits_is_that_with_logits():
    """The training step fuses the output layer and the loss."""
    model, texts = compiled_model(), np.array([[BOS, 3, 4, 5]], "int32")
    labels = np.array([[3, 4, 5, EOS]])
    expected = model.evaluate({"target": texts}, labels, verbose=0)
    assert type(model).projects_loss
    fitted = model.fit({"target": texts}, labels, verbose=0).history["loss"][0]
    assert fitted == pytest.approx(expected[0], rel=1e-5)


@pytest.mark.parametrize("whole", [False, True])
def test_it_is_saved_with_its_parts(model, tmp_path, whole):
    if whole:
        model.save(tmp_path / "model.keras")
        copy = keras.saving.load_model(tmp_path / "model.keras")
    else:
        copy = kt.model_from_description(kt.describe_model(model))
        copy.set_weights(model.get_weights())
    assert type(copy.decoder.blocks[0].self_attention) is kt.SeparableConvolution
    np.testing.assert_array_equal(copy({"target": PROMPTS}), model({"target": PROMPTS}))


def test_attention_scores_are_those_of_the_decoder():
    model = kt.LanguageModel(
        kt.PositionalEmbedding(V, D),
        kt.DecoderStack([kt.DecoderBlock(D, 2, 16, cross_attention=False) for _ in range(3)]),
    )
    scores = model.attention(PROMPTS)
    assert list(scores) == ["decoder"]
    assert scores["decoder"].shape == (3, 3, 2, 6, 6)
    np.testing.assert_array_equal(np.triu(scores["decoder"], 1), 0)


def test_a_layer_that_cannot_read_prompts_is_named():
    model = language_model(CannotRead())
    with pytest.raises(ValueError, match="A CannotRead cannot read a prompt: it has no method"):
        model.encode(ops.convert_to_tensor(PROMPTS))


def test_blocks_that_attend_to_an_encoder_are_refused():
    model = kt.LanguageModel(
        kt.PositionalEmbedding(V, D), kt.DecoderStack([kt.DecoderBlock(D, 2, 16)])
    )
    with pytest.raises(ValueError, match="attend to an encoder"):
        model({"target": PROMPTS})
