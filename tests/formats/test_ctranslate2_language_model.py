"""CTranslate2 computes what our language model computes."""

import json

import keras
import numpy as np
import pytest

from keras_transformer import (
    LanguageModel,
    TextGenerator,
    Transformer,
    Translator,
    export,
    generate,
)
from keras_transformer.layers import (
    DecoderBlock,
    DistanceBias,
    LinearBias,
    LocalAttention,
    MemoryCompressedAttention,
    MultiHeadAttention,
    PositionalEmbedding,
    RelativeAttention,
    RotaryEmbedding,
    SeparableConvolution,
)
from keras_transformer.models import DecoderStack
from keras_transformer.text import TokenizerAdapter
from tests.weights import randomize

ctranslate2 = pytest.importorskip("ctranslate2")

D_MODEL, VOCABULARY, PLACES = 24, 61, 40
FINAL = {"epsilon": 1e-6}
KINDS = {
    "post": {"positions": "paper"},
    "post and a final norm": {"positions": "paper", "final": FINAL},
    "pre t2t": {"positions": "t2t", "norm": "pre", "final": FINAL},
    "pre without a final norm": {"positions": "paper", "norm": "pre"},
    "learned": {
        "positions": "learned", "norm": "pre", "final": FINAL, "use_bias": True,
        "activation": "gelu",
    },
    "rotary": {
        "attentions": [
            {"position_encoder": RotaryEmbedding},
            {"position_encoder": lambda: RotaryEmbedding(100, "half")},
        ]
    },
    "relative": {
        "attentions": [
            {"attention": lambda: RelativeAttention(3)},
            {"attention": lambda: RelativeAttention(2, values=False)},
        ],
        "norm": "pre", "final": FINAL,
    },
    "multi-query": {"attentions": [{"num_key_value_heads": 1}] * 2, "positions": "paper"},
    "grouped rotary": {
        "attentions": [
            {"num_key_value_heads": 2, "position_encoder": RotaryEmbedding},
            {"num_key_value_heads": 3, "position_encoder": RotaryEmbedding},
        ]
    },
    "linear bias": {"attentions": [{"attention": LinearBias}, {"attention": LinearBias}]},
    "linear bias of 8 heads": {
        "num_heads": 8,
        "attentions": [{"attention": LinearBias}, {"attention": LinearBias}],
    },
}  # fmt: skip
SAME_SEARCH = ("post", "pre t2t", "rotary", "relative", "grouped rotary", "linear bias")
PROMPTS = [[1, 5, 9, 33, 8], [1], [1, 44, 7]]


class Words:
    """A tokenizer of as many words as the models have ids."""

    def vocabulary_size(self):
        return VOCABULARY

    def id_to_token(self, id):
        return ("<pad>", "<s>", "</s>", "<unk>")[id] if id < 4 else f"w{id}"


def make_model(attentions=(), num_heads=6, positions=None, final=None, **options):
    blocks = [
        DecoderBlock(D_MODEL, num_heads, 17, cross_attention=False, **options) for _ in range(2)
    ]
    for block, parts in zip(blocks, attentions, strict=False):
        made = {name: part() if callable(part) else part for name, part in parts.items()}
        block.self_attention = MultiHeadAttention(D_MODEL, num_heads, **made)
    use_bias = options.get("use_bias", False)
    embedding = PositionalEmbedding(
        VOCABULARY, D_MODEL, positions, max_length=PLACES, use_bias=use_bias
    )
    norm = keras.layers.LayerNormalization(**final) if final else None
    return LanguageModel(embedding, DecoderStack(blocks, norm))


def generator_of(model):
    tokenizer = TokenizerAdapter(Words(), pad_id=0, bos_id=1, eos_id=2, unk_id=3)
    return TextGenerator(model, tokenizer, trained_length=16)


def exported(model, folder):
    export(generator_of(model), folder, "ctranslate2")
    return ctranslate2.Generator(str(folder), compute_type="float32", intra_threads=1)


def random_model(kind):
    model = make_model(**KINDS[kind])
    model.build()
    return randomize(model)


def tokens_of(rows):
    return [[Words().id_to_token(id) for id in row] for row in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_has_the_probability_that_our_model_gives_it(kind, tmp_path):
    model = random_model(kind)
    draw = np.random.default_rng(5)
    rows = [[1, *draw.integers(4, VOCABULARY, length).tolist(), 2] for length in (31, 5, 0)]
    results = exported(model, tmp_path / "ct2").score_batch(tokens_of(rows))
    for row, result in zip(rows, results, strict=True):
        logits = model({"target": np.array([row[:-1]])})
        log_probs = np.asarray(keras.ops.log_softmax(logits))[0]
        expected = log_probs[np.arange(len(row) - 1), row[1:]]
        np.testing.assert_allclose(result.log_probs, expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SAME_SEARCH)
def test_it_finds_what_we_find(kind, tmp_path):
    model = random_model(kind)
    source = np.zeros((3, 5), "int32")
    for row, prompt in zip(source, PROMPTS, strict=True):
        row[: len(prompt)] = prompt
    options = {"length": 11, "beam_size": 3, "length_penalty": 0.0, "bos_id": 1, "eos_id": 2}
    found = generate(model, source, np.full(3, 11), **options)
    ours = [[id for id in row if id not in (0, 2)] for row in np.asarray(found.ids)[:, 0].tolist()]
    engine = exported(model, tmp_path / "ct2")
    # One by one: it reads unequal prompts only as far as the shortest, and searches from there.
    results = [
        engine.generate_batch(
            tokens_of([prompt]), beam_size=3, length_penalty=0, max_length=11,
            include_prompt_in_result=False, return_scores=True,
        )[0]
        for prompt in PROMPTS
    ]  # fmt: skip
    assert [result.sequences[0] for result in results] == tokens_of(ours)
    scores = [result.scores[0] for result in results]
    np.testing.assert_allclose(scores, found.log_probs[:, 0], atol=1e-4)


def test_the_folder_says_how_texts_start_and_end_and_is_written_anew(tmp_path):
    exported(random_model("post"), tmp_path / "ct2")
    config = json.loads((tmp_path / "ct2" / "config.json").read_text())
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    assert config.items() >= {**special, "layer_norm_epsilon": 1e-6}.items()
    before = (tmp_path / "ct2" / "model.bin").read_bytes()
    exported(random_model("rotary"), tmp_path / "ct2")
    assert (tmp_path / "ct2" / "model.bin").read_bytes() != before
    model = Transformer(VOCABULARY, 1, d_model=6, num_heads=2, d_ff=7)
    export(Translator(model, generator_of(random_model("post")).tokenizer), tmp_path / "ct2",
           "ctranslate2")  # fmt: skip
    assert not (tmp_path / "ct2" / "vocabulary.json").exists()


@keras.saving.register_keras_serializable(package="tests.ctranslate2_lm")
class Subclass(LanguageModel):
    """A model of another class, which may compute anything."""


def attention(part):
    def change(model):
        model.decoder.blocks[1].self_attention.attention = part()

    return change


@pytest.mark.parametrize(("changes", "change", "message"), [
    ({}, attention(lambda: DistanceBias(name="far")), "Received: a DistanceBias at '.*far'"),
    ({}, attention(lambda: LocalAttention(1, 3, name="near")), "a LocalAttention at '.*near'"),
    ({}, attention(LinearBias), "LinearBias in all blocks or in none.* it in 1 of 2 blocks"),
    ({"positions": "paper"}, attention(lambda: RelativeAttention(name="far")),
     "has its own. Received: a RelativeAttention at .*far.*'paper'"),
    ({"positions": "paper", "attentions": [{"attention": LinearBias}] * 2}, lambda model: None,
     "has its own. Received: a LinearBias at .*'paper'"),
    ({}, lambda model: setattr(model.decoder.blocks[1], "self_attention",
                               MemoryCompressedAttention(D_MODEL, 6)),
     "a MemoryCompressedAttention at"),
    ({}, lambda model: setattr(model.decoder.blocks[1], "self_attention",
                               SeparableConvolution(D_MODEL, 3, causal=True)),
     "a SeparableConvolution at"),
    ({}, lambda model: setattr(model.decoder.blocks[1], "feed_forward",
                               keras.layers.Dense(D_MODEL)), "block 1, which has other sizes"),
    ({}, lambda model: setattr(model.decoder.blocks[1], "self_attention",
                               MultiHeadAttention(D_MODEL, 2)), "block 1, which has other sizes"),
    ({"final": {"epsilon": 1e-3}}, lambda model: None,
     "with the epsilon of the blocks only. Received: a LayerNormalization with other epsilon"),
    ({"final": {"epsilon": 1e-6, "center": False}}, lambda model: None, "with other center"),
    ({"activation": "tanh"}, lambda model: None, "the activations relu, gelu, silu.*'tanh'"),
])  # fmt: skip
def test_what_it_cannot_compute_is_refused_by_its_name(changes, change, message, tmp_path):
    model = make_model(**changes)
    change(model)
    with pytest.raises(ValueError, match=message):
        exported(model, tmp_path / "ct2")
    assert list(tmp_path.iterdir()) == []


def test_a_subclass_is_refused_by_its_name(tmp_path):
    model = make_model()
    with pytest.raises(ValueError, match="Received: a Subclass at"):
        exported(Subclass(model.embedding, model.decoder), tmp_path / "ct2")
