"""A SavedModel continues prompts as the text generator does."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import LanguageModel, TextGenerator, Tokenizer, export
from keras_transformer.formats.saved_model import graph_search
from keras_transformer.layers import (
    DecoderBlock,
    DistanceBias,
    LocalAttention,
    MemoryCompressedAttention,
    MultiHeadAttention,
    PositionalEmbedding,
    SeparableConvolution,
)
from keras_transformer.models import DecoderStack
from keras_transformer.translation import batch_shapes
from tests.conftest import searches_without_xla
from tests.toy_parts import CannotRead
from tests.translation.conftest import BYTES, sentences
from tests.weights import randomize

pytest.importorskip("tensorflow_text")

LIMIT = 13  # tokens of the texts that the model was trained on
BEAMS = 3
OPTIONS = {"beam_size": BEAMS, "top_beams": BEAMS, "max_length": 9}
SIZES = {"num_layers": 1, "d_model": 12, "num_heads": 3, "d_ff": 17}
ODD = ["", " ", "\t", "one two ", "😀", "\udcff", "</s>"]
LONG = ["one " * 60]  # of more tokens than the model was trained on

IN_A_FRESH_PROCESS = """
import json, sys
import tensorflow as tf
import tensorflow_text
served = tf.saved_model.load(sys.argv[1])
found = served.signatures["serving_default"](prompt=tf.constant(json.loads(sys.argv[2])))
texts = [[text.decode() for text in row] for row in found["text"].numpy()]
ours = [name for name in sys.modules if name.startswith("keras_transformer")]
print(json.dumps([texts, found["score"].numpy().tolist(), ours]))
"""


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(sentences(211, seed=1), 290, model_type="bpe")


def generator_of(model, tokenizer):
    keras.utils.set_random_seed(3)
    model.build()
    randomize(model)
    table = 2 * np.array(model.embedding.tokens.embeddings)
    table[BYTES] *= 0.3
    table[tokenizer.eos_id] = 1.2 * table[285]  # so that texts end
    model.embedding.tokens.embeddings.assign(table)
    with searches_without_xla():
        return TextGenerator(model, tokenizer, LIMIT, {"seed": 31})


@pytest.fixture(autouse=True)
def few_shapes(monkeypatch):
    monkeypatch.setattr(batch_shapes, "BATCHES", (1, 32))


@pytest.fixture(scope="module")
def generator(tokenizer):
    # The model has more ids than the tokenizer.
    return generator_of(LanguageModel.from_sizes(293, norm="pre", **SIZES), tokenizer)


def exported(generator, folder, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_search, "SIZES", (5,))
        export(generator, folder, **options)
    return tf.saved_model.load(str(folder))


@pytest.fixture(scope="module")
def folder(generator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "1"
    exported(generator, folder, **OPTIONS)
    return folder


@pytest.fixture(scope="module")
def served(folder):
    return tf.saved_model.load(str(folder))


def ask(served, prompts):
    raw = [prompt.encode("utf-8", "surrogateescape") for prompt in prompts]
    answer = served.signatures["serving_default"](prompt=tf.constant(raw, tf.string))
    assert sorted(answer) == ["score", "text"]
    return [[one.decode() for one in row] for row in answer["text"].numpy()], answer[
        "score"
    ].numpy()


def assert_same(texts, scores, generations):
    for row, score, wanted in zip(texts, scores, generations, strict=True):
        some = len(wanted.hypotheses)
        assert row == [one.text for one in wanted.hypotheses] + [""] * (len(row) - some)
        expected = [one.score for one in wanted.hypotheses]
        assert list(score)[:some] == pytest.approx(expected, abs=1e-4)
        assert (np.array(score)[some:] == -np.inf).all()


@pytest.mark.slow
def test_it_continues_prompts_of_any_length_as_the_generator_does(served, generator):
    prompts = [*sentences(11, seed=2, longest=12), *ODD, *LONG]
    wanted = generator.generate(prompts, **OPTIONS)
    assert {one.finished for result in wanted for one in result.hypotheses} == {True, False}
    assert_same(*ask(served, prompts), wanted)
    assert_same(*ask(served, prompts[3:4]), wanted[3:4])


def test_no_prompts_have_no_continuations(served):
    texts, scores = ask(served, [])
    assert texts == []
    assert scores.shape == (0, BEAMS)


@pytest.mark.slow  # a process of its own
def test_a_program_with_tensorflow_alone_gets_the_same(folder, generator):
    prompts = [*sentences(2, seed=5, longest=5), ""]
    arguments = [sys.executable, "-c", IN_A_FRESH_PROCESS, str(folder), json.dumps(prompts)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=300)
    texts, scores, ours = json.loads(done.stdout.splitlines()[-1])
    assert ours == []
    assert_same(texts, scores, generator.generate(prompts, **OPTIONS))


def test_it_says_what_it_is_and_how_it_is_warmed_up(folder):
    description = json.loads((folder / "assets.extra" / "translator.json").read_text("utf-8"))
    expected = {
        "kind": "language_model", "trained_length": LIMIT, "seed": 31, "max_length": 9,
        "top_beams": BEAMS, "format": "saved_model",
    }  # fmt: skip
    assert description.items() >= expected.items()
    warmup = (folder / "assets.extra" / "tf_serving_warmup_requests").read_bytes()
    assert b"prompt" in warmup
    assert b"text" not in warmup


@pytest.mark.slow  # graphs of their own
def test_learned_positions_end(tokenizer, tmp_path):
    model = LanguageModel.from_sizes(290, positions="learned", max_length=40, **SIZES)
    generator = generator_of(model, tokenizer)
    prompt = "one " * 8  # padded to more than the positions
    count = len(tokenizer.tokenize(prompt))
    with pytest.raises(ValueError, match=r"at most 40, the number of positions .*Received: 41"):
        export(generator, tmp_path / "1", max_length=41)
    longest = 40 - count
    served = exported(generator, tmp_path / "1", beam_size=1, max_length=longest)
    wanted = generator.generate([prompt, "one"], beam_size=1, max_length=longest)
    assert_same(*ask(served, [prompt, "one"]), wanted)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"a prompt may have {count} tokens"):
        ask(served, ["one", prompt + "cat"])


def blocks(*parts):
    for make in parts:
        block = DecoderBlock(12, 3, 17, cross_attention=False)
        block.self_attention = make()
        yield block


def attention(**options):
    return lambda: MultiHeadAttention(12, 3, **{k: make() for k, make in options.items()})


PARTS = {
    "bias": attention(attention=lambda: DistanceBias(8, 16, bidirectional=False)),
    "local": attention(attention=lambda: LocalAttention(4)),
    "compressed": lambda: MemoryCompressedAttention(12, 3),
    "convolution": lambda: SeparableConvolution(12),
}


@pytest.mark.slow  # a graph for each
@pytest.mark.parametrize("part", PARTS)
def test_any_part_reads_prompts_of_any_length_in_the_saved_model(part, tokenizer, tmp_path):
    embedding = PositionalEmbedding(290, 12)
    stack = DecoderStack(list(blocks(attention(), PARTS[part])))
    generator = generator_of(LanguageModel(embedding, stack), tokenizer)
    prompts = [*sentences(3, seed=2, longest=5), "", LONG[0]]
    options = {"beam_size": 2, "top_beams": 2, "max_length": 7}
    served = exported(generator, tmp_path / "1", **options)
    assert_same(*ask(served, prompts), generator.generate(prompts, **options))


def test_a_part_that_reads_no_prompts_is_refused_by_name(tokenizer, tmp_path):
    stack = DecoderStack(list(blocks(CannotRead)))
    generator = generator_of(LanguageModel(PositionalEmbedding(290, 12), stack), tokenizer)
    with pytest.raises(ValueError, match="A CannotRead cannot read a prompt"):
        export(generator, tmp_path / "1")
    assert list(tmp_path.iterdir()) == []
