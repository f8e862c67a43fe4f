"""A SavedModel translates what the translator translates, and knows what it is."""

import json
import os
import re
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import Tokenizer, Transformer, Translator
from keras_transformer.formats import export_saved_model
from keras_transformer.formats.saved_model import export, graph_search
from keras_transformer.formats.saved_model.text_splitter import TextSplitter
from keras_transformer.layers import DotProductAttention
from keras_transformer.models import create_model
from keras_transformer.text import TokenizerAdapter
from keras_transformer.translation import make_shortlist
from keras_transformer.translation.scoring import score_targets
from tests.conftest import ROOT, searches_without_xla
from tests.translation.conftest import BYTES, make_model, sentences
from tests.weights import randomize

pytest.importorskip("tensorflow_text")

LIMIT = 13  # source tokens: all are padded to one length
SIZES = (5,)
BEAMS = 3
ODD = [
    "", " ", "\t \u3000\x1f\x85\u2029",
    "😀", "שלום", "nul\0nul", "\udcff\udcfea", "</s>",
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(sentences(211, seed=1), 307, model_type="bpe")


@pytest.fixture(scope="module")
def translator(tokenizer):
    """As in `tests/decoding`, but its live searches run without XLA: they compile for long."""
    model = make_model(tokenizer.vocabulary_size(), seed=20, like_eos=285, seldom=BYTES)
    with searches_without_xla(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_transformer.translation.batch_shapes.BATCHES", (32,))
        yield Translator(model, tokenizer, max_source_length=LIMIT, about={"seed": 31})


@pytest.fixture(scope="module")
def texts():
    """Of 1 to about 60 tokens."""
    return sentences(13, seed=2, longest=12) + sentences(11, seed=3, longest=45)


@pytest.fixture(scope="module")
def folder(translator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "new" / "1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_search, "SIZES", SIZES)
        export_saved_model(translator, folder, beam_size=BEAMS, top_beams=BEAMS)
    return folder


@pytest.fixture(scope="module")
def served(folder):
    return tf.saved_model.load(str(folder))


def ask(served, texts, endpoint="serving_default"):
    raw = [text.encode("utf-8", "surrogateescape") for text in texts]
    answer = served.signatures[endpoint](text=tf.constant(raw, tf.string))
    return {name: tensor.numpy() for name, tensor in answer.items()}


def assert_same(answer, translations):
    """The strings of all hypotheses and their scores; nothing where there is none."""
    for text, score, wanted in zip(*answer.values(), translations, strict=True):
        some = len(wanted.hypotheses)
        assert [one.decode() for one in text[:some]] == [one.text for one in wanted.hypotheses]
        assert score[:some] == pytest.approx([one.score for one in wanted.hypotheses], abs=1e-4)
        assert (text[some:] == b"").all()
        assert (score[some:] == -np.inf).all()


@pytest.fixture(scope="module")
def translations(translator, texts):
    return translator.translate(texts, beam_size=BEAMS, top_beams=BEAMS)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 5, 24])
def test_it_translates_as_the_translator_does(served, translations, texts, batch):
    """In requests of any size, whose texts are of any length, over-long ones in pieces."""
    assert {one.parts for one in translations} >= {1, 2, 3}
    # Some are longer than the room that a result usually gets.
    assert max(len(one.hypotheses[0].tokens) for one in translations if one.parts == 1) > 32
    for start in range(0, len(texts), batch):
        some = slice(start, start + batch)
        answer = ask(served, texts[some])
        assert sorted(answer) == ["score", "translation"]
        assert_same({k: answer[k] for k in ("translation", "score")}, translations[some])


def test_no_texts_have_no_translations(served):
    answer = ask(served, [])
    assert answer["translation"].shape == answer["score"].shape == (0, BEAMS)


def test_odd_texts_are_read_as_the_translator_reads_them(served, translator):
    answer = ask(served, ODD)
    wanted = translator.translate(ODD, beam_size=BEAMS, top_beams=BEAMS)
    assert_same({k: answer[k] for k in ("translation", "score")}, wanted)
    assert answer["translation"][:3].tolist() == [[b""] * BEAMS] * 3
    assert answer["score"][:3, 0].tolist() == [0, 0, 0]


@pytest.mark.slow
def test_a_word_without_end_is_cut_somewhere(served):
    """The translator cuts elsewhere; here no character is cut in two."""
    answer = ask(served, ["one" * 101, "日" * 31])
    assert (answer["score"][:, 0] > -np.inf).all()


@pytest.mark.slow
def test_tokens_and_attention_are_those_of_the_translator(served, translator, texts):
    texts = ["", *texts[:7], texts[-1]]
    answer = ask(served, texts, "translate_with_attention")
    wanted = translator.translate(texts, beam_size=BEAMS, return_attention=True)
    assert answer["parts"].tolist() == [0, *[one.parts for one in wanted[1:]]]
    assert answer["parts"][-1] > 1
    for n, one in enumerate(wanted):
        assert answer["translation"][n].decode() == one.text
        assert answer["score"][n] == pytest.approx(one.score, abs=1e-4)
        tokens = {
            side: [token.decode() for token in answer[f"{side}_tokens"][n] if token]
            for side in ("source", "target")
        }
        attention = answer["attention"][n]
        T, S = len(tokens["target"]), len(tokens["source"])
        if one.parts == 1:
            assert tuple(tokens["source"]) == one.source_tokens
            assert tuple(tokens["target"]) == one.hypotheses[0].tokens
        if one.parts == 1 and one.source_tokens:
            np.testing.assert_allclose(
                attention[:, :, :T, :S], one.hypotheses[0].attention, atol=1e-5
            )
        else:  # of the first piece
            assert tokens["source"] == [*one.source_tokens[: max(0, S)]]
        assert (attention[:, :, T:] == 0).all()
        assert (attention[..., S:] == 0).all()


def test_alone_an_empty_text_has_no_tokens(served):
    answer = ask(served, [""], "translate_with_attention")
    assert answer["translation"].tolist() == [b""]
    assert answer["attention"].shape == (1, 1, 3, 0, 0)


def test_it_says_what_it_is(folder):
    description = json.loads((folder / "assets.extra" / "translator.json").read_text("utf-8"))
    ids = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
    assert description.pop("versions")["tensorflow"] == tf.__version__
    assert description == {
        "made_by": "keras_transformer", "format": "saved_model", "seed": 31, "beam_size": BEAMS,
        "top_beams": BEAMS, "length_penalty": 0.6, "max_length": None, "xla": False,
        "quantize": None, "max_source_length": LIMIT,
        "special_ids": {"source": ids, "target": ids},
    }  # fmt: skip


# TensorFlow Serving


def test_serving_warms_up_with_every_shape(folder, tokenizer):
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    shapes = set()
    for record in tf.data.TFRecordDataset(str(folder / "assets.extra" / export.WARMUP)):
        request = log.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.signature_name == "serving_default"
        assert list(request.inputs) == ["text"]
        texts = [text.decode() for text in tf.make_ndarray(request.inputs["text"])]
        assert len(set(texts)) == 1
        shapes.add((len(texts), len(tokenizer.tokenize(texts[0])) + 1))
    assert shapes == {(5, LIMIT)}


@pytest.mark.slow
def test_the_documented_client_of_serving_gets_translations(folder, translator, capsys):
    """The program in docs/serving.md, with the package of TensorFlow Serving's messages."""
    pytest.importorskip("tensorflow_serving")
    from tests.formats.prediction_service import serving

    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python no-run\n(.*?)```", page, flags=re.DOTALL)
    [program] = [block for block in blocks if "tensorflow_serving" in block]
    assert program.count("localhost:8500") == program.count("Good morning.") == 1
    text = "red cat six"
    with serving("mine", folder) as port:
        program = program.replace("localhost:8500", f"localhost:{port}")
        exec(program.replace("Good morning.", text), {})  # our own documentation
    [wanted] = translator.translate([text], BEAMS, top_beams=BEAMS)
    printed, score = capsys.readouterr().out.rsplit(maxsplit=1)
    assert printed == wanted.text
    assert float(score) == pytest.approx(wanted.score, abs=1e-4)


@pytest.mark.slow
def test_quantised_it_has_the_scores_of_the_quantised_model(
    tokenizer, folder, tmp_path, monkeypatch
):
    """And the translator itself stays as it is."""
    made, quantized = [], export._quantized
    monkeypatch.setattr(export, "_quantized", lambda *of: made.append(quantized(*of)) or made[0])
    monkeypatch.setattr(graph_search, "SIZES", (3,))
    model = make_model(tokenizer.vocabulary_size(), seed=20, like_eos=285, seldom=BYTES)
    before = model.get_weights()
    export_saved_model(
        Translator(model, tokenizer, max_source_length=16), tmp_path / "1", beam_size=2,
        length_penalty=0.0, max_length=29, quantize="int8",
    )  # fmt: skip
    assert all(map(np.array_equal, model.get_weights(), before))
    description = json.loads((tmp_path / "1/assets.extra/translator.json").read_text("utf-8"))
    assert [description[name] for name in ("quantize", "max_length")] == ["int8", 29]
    data = "variables/variables.data-00000-of-00001"
    assert (tmp_path / "1" / data).stat().st_size < 0.5 * (folder / data).stat().st_size

    texts = ["one two", "red cat six", "street"]
    answer = ask(tf.saved_model.load(str(tmp_path / "1")), texts, "translate_with_attention")
    targets = [[tokenizer.token_to_id(token.decode()) for token in row if token]
               for row in answer["target_tokens"]]  # fmt: skip
    assert max(map(len, targets)) <= 29
    sources = [[*ids, tokenizer.eos_id] for ids in tokenizer.tokenize(texts)]
    source, target = (tf.ragged.constant(rows).to_tensor() for rows in (sources, targets))
    score = tf.function(score_targets, autograph=False)
    scores = [score(one, source, target, bos_id=1).numpy().sum(axis=1) for one in (made[0], model)]
    assert answer["score"] == pytest.approx(scores[0], abs=1e-3)
    assert np.abs(scores[1] - scores[0]).max() > 1e-2


# What is too long


def cut_by_hand(tokens, limit):
    """Piece by piece: behind the last sentence that fits, else the last word, else anywhere."""
    pieces = []
    while len(tokens) > limit:
        places = range(limit, 0, -1)

        def first(kind, places=places, tokens=tokens):
            return next((p for p in places if kind(tokens[p - 1], tokens[p])), None)

        place = (
            first(lambda one, two: (one[-1] in ".!?…" and two[0] == "▁") or one[-1] in "。！？")
            or first(lambda one, two: two[0] == "▁")
            or first(lambda one, two: not ("<0x80>" <= two <= "<0xBF>" and len(two) == 6))
            or limit
        )
        pieces.append(tokens[:place])
        tokens = tokens[place:]
    return [*pieces, tokens] if tokens else pieces


class Pieces:
    """A tokenizer of given tokens."""

    tokens = ("▁a", "▁b.", "c", ".", "!", "▁", "。", "<0xE3>", "<0x81>", "<0xBF>", "▁d…", "e")

    def vocabulary_size(self):
        return len(self.tokens)

    def id_to_token(self, id):
        return self.tokens[id]


@pytest.mark.parametrize("limit", [1, 2, 5, 11])
def test_rows_are_cut_between_sentences_else_words_else_characters(limit):
    generator = np.random.default_rng(limit)
    rows = [generator.integers(0, 12, n).tolist() for n in [*generator.integers(0, 41, 37), 0, 5]]
    rows[3] = [9] * 23  # nowhere is a good place
    pieces, owner = TextSplitter(Pieces(), limit)(tf.ragged.constant(rows, tf.int32, ragged_rank=1))
    wanted = [
        (number, piece)
        for number, row in enumerate(rows)
        for piece in cut_by_hand([Pieces.tokens[id] for id in row], limit)
    ]
    found = [[Pieces.tokens[id] for id in piece] for piece in pieces.to_list()]
    assert list(zip(owner.numpy().tolist(), found, strict=True)) == wanted


def test_pieces_leave_the_room_that_is_reserved():
    rows = [[0, 2, 1, 0, 5, 2, 0, 10, 0], [0, 2, 1, 0, 5, 2, 0, 10, 0], [0] * 3, []]
    ragged = tf.ragged.constant(rows, tf.int32, ragged_rank=1)
    pieces, owner = TextSplitter(Pieces(), 5)(ragged, tf.constant([0, 3, 4, 2], tf.int64))
    wanted = [
        (number, piece)
        for number, (row, limit) in enumerate(zip(rows, [5, 2, 1, 3], strict=True))
        for piece in cut_by_hand([Pieces.tokens[id] for id in row], limit)
    ]
    found = [[Pieces.tokens[id] for id in piece] for piece in pieces.to_list()]
    assert list(zip(owner.numpy().tolist(), found, strict=True)) == wanted


@pytest.mark.slow
def test_every_piece_of_a_long_text_keeps_its_tags(served, translator):
    long = "one two. " * 13
    texts = [f"{tags} {long}" for tags in (">>o<<", "<2o>", "")]
    texts += [long, ">>o<< one two.", "  <2o> " + long, ">>o<<"]
    answer = ask(served, texts)
    wanted = translator.translate(texts, beam_size=BEAMS, top_beams=BEAMS)
    assert_same({k: answer[k] for k in ("translation", "score")}, wanted)
    assert ask(served, texts, "translate_with_attention")["parts"].tolist() == [
        one.parts for one in wanted
    ]
    assert wanted[0].parts > wanted[2].parts > 1
    assert wanted[0].text != wanted[2].text


@pytest.mark.parametrize("rows", [[], [[]], [[], []]])
def test_of_nothing_there_are_no_pieces(rows):
    rows = tf.RaggedTensor.from_row_lengths(tf.zeros((0,), tf.int32), [0] * len(rows))
    pieces, owner = TextSplitter(Pieces(), 5)(rows)
    assert pieces.to_list() == owner.numpy().tolist() == []


# Which graphs are made, and who goes through which


def make_search(translator, longest, jit_compile=False, **settings):
    settings = graph_search.SearchSettings(**settings)
    return graph_search.SearchInGraph(translator.model, 1, 2, settings, longest, jit_compile)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_xla_compiles_the_search_if_it_is_told_to(translator, jit_compile):
    graph = make_search(translator, 16, jit_compile, beam_size=1)._make_graph(2, 16, 17)
    assert graph.function_def.attr["_XlaMustCompile"].b == jit_compile


def test_lengths_rooms_and_sizes_are_few(translator):
    def shapes(longest, **settings):
        made = make_search(translator, longest, **settings)
        return [
            (length, made.decode_lengths(length), made.sizes(length)) for length in made.lengths
        ]

    assert shapes(48) == [
        (16, [32, 66], [1, 8, 32]), (32, [48, 82], [1, 8, 32]), (64, [80, 114], [1, 8, 32]),
    ]  # fmt: skip
    assert shapes(300)[-1] == (512, [528, 562], [1, 8])
    assert shapes(16, max_length=32) == [(16, [32], [1, 8, 32])]
    assert shapes(16, max_length=99) == [(16, [32, 128], [1, 8, 32])]
    warm = make_search(translator, 19).shapes()
    assert warm == [(1, 16), (8, 16), (32, 16), (1, 19), (8, 19), (32, 19)]


@pytest.mark.parametrize("counts", [{5: 1}, {5: 1, 17: 8, 40: 33}, {33: 7, 5: 65}, {16: 9, 17: 1}])
def test_every_row_goes_through_the_smallest_graphs(translator, counts):
    """Stand-ins for the searches: they write what they read, its limit, and say who they are."""
    asked, made = [], make_search(translator, 48)

    def make_graph(size, length, max_decode_len):
        def graph(source, limits):
            asked.append((size, length, max_decode_len))
            assert source.shape == (size, length)
            ids = tf.pad(source[:, :16], [[0, 0], [0, max_decode_len - 16]])[:, None]
            complete = (limits == 0) | (source[:, 0] % 3 > 0) | (max_decode_len > length + 16)
            return ids, tf.cast(limits + 1000 * max_decode_len, tf.float32)[:, None], complete

        return graph

    made._graph = make_graph
    lengths = np.repeat(list(counts), list(counts.values()))
    np.random.default_rng(7).shuffle(lengths)
    rows = [[n + 4, *range(2, length + 1)] for n, length in enumerate(lengths)]
    ids, scores = made(tf.ragged.constant(rows, tf.int32))
    for n, row in enumerate(rows):
        length = next(length for length in (16, 32, 64) if len(row) <= length)
        max_decode_len = length + (16 if (n + 4) % 3 else 50)
        assert ids[n, 0].numpy().tolist() == row[:16] + [0] * (114 - len(row[:16]))
        assert scores[n, 0] == len(row) + 50 + 1000 * max_decode_len
    for length in {length for _, length, _ in asked}:
        count = sum(length // 2 < max(number, 9) <= length for number in lengths)
        size = next((size for size in (1, 8) if count <= size), 32)
        usual = [one for one in asked if one[1:] == (length, length + 16)]
        assert usual == [(size, length, length + 16)] * -(-count // size)
    assert {size for size, length, max_decode_len in asked if max_decode_len == length + 50} <= {8}


# What is refused


@pytest.mark.parametrize(("options", "message"), [
    ({"top_beams": 5}, r"`top_beams` is the number of hypotheses.*top_beams=5, beam_s"),
    ({"beam_size": 0}, "`beam_size` must be at least 1. Received: 0"),
    ({"length_penalty": -1.0}, "`length_penalty` must be at least 0.*Received: -1.0"),
    ({"max_length": 0}, "`max_length` must be at least 1, since .* Received: 0"),
    ({"quantize": "int3"}, "`quantize` must be 'int8' or None. Received: 'int3'"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(translator, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_saved_model(translator, tmp_path / "no", **options)
    assert list(tmp_path.iterdir()) == []


def test_learned_positions_end(tokenizer, tmp_path):
    model = make_model(tokenizer.vocabulary_size(), positions="learned", max_length=67)
    translator = Translator(model, tokenizer, max_source_length=16)
    with pytest.raises(ValueError, match=r"`max_length` must be at most 67.*Received: 68"):
        export_saved_model(translator, tmp_path / "no", max_length=68)


def test_under_jax_it_says_how_to_export(translator, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"on jax: .*`KERAS_BACKEND=tensorflow python -m keras_tr"):
        export_saved_model(translator, tmp_path / "no")


def test_without_tensorflow_text_it_says_what_to_install(translator, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(ImportError, match="pip install tensorflow-text"):
        export_saved_model(translator, tmp_path / "no")


class Words:
    words = ("<pad>", "<s>", "</s>", "<unk>", "one")

    def vocabulary_size(self):
        return len(self.words)

    def id_to_token(self, id):
        return self.words[id]


def test_a_tokenizer_that_no_graph_holds_is_refused(tmp_path):
    foreign = TokenizerAdapter(Words(), pad_id=0, bos_id=1, eos_id=2, unk_id=3)
    model = Transformer(5, num_layers=1, d_model=6, num_heads=2, d_ff=7)
    with pytest.raises(ValueError, match=r"Only SentencePiece tokenizers.*: TokenizerAdapter"):
        export_saved_model(Translator(model, foreign), tmp_path / "no")


# The folder


class Archive:
    """Stands for Keras' own: writes little, or fails half-way."""

    def __init__(self, content):
        self.content = content

    def write_out(self, folder, verbose):
        with open(os.path.join(folder, "saved_model.pb"), "w") as file:
            file.write(self.content or "half")
        if self.content is None:
            raise OSError("No space left on device")


@pytest.fixture
def writes(monkeypatch):
    return lambda content: monkeypatch.setattr(export, "_archive", lambda _: Archive(content))


def test_a_folder_of_ours_is_written_anew(translator, tmp_path, writes):
    (tmp_path / "1").mkdir()
    for content in ("first", "second"):
        writes(content)
        export_saved_model(translator, tmp_path / "1")
        assert (tmp_path / "1" / "saved_model.pb").read_text() == content
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_what_is_not_ours_is_never_overwritten(translator, tmp_path, writes):
    writes("first")
    export_saved_model(translator, tmp_path / "1")
    (tmp_path / "1" / "thesis.txt").write_text("all of it")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "saved_model.pb").write_text("somebody's")
    for place in ("1", "other", "other/saved_model.pb"):
        with pytest.raises(FileExistsError, match="already exists and holds something else"):
            export_saved_model(translator, tmp_path / place)
    assert (tmp_path / "1" / "thesis.txt").read_text() == "all of it"
    assert (tmp_path / "other" / "saved_model.pb").read_text() == "somebody's"


@pytest.mark.parametrize("name", ["assets.extra/mine.txt", "variables/mine.txt", "assets/mine"])
def test_nor_is_what_lies_deeper(name, translator, tmp_path, writes):
    writes("first")
    export_saved_model(translator, tmp_path / "1")
    (tmp_path / "1" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "1" / name).write_text("mine")
    with pytest.raises(FileExistsError, match="already exists and holds something else"):
        export_saved_model(translator, tmp_path / "1")
    assert (tmp_path / "1" / name).read_text() == "mine"


def test_a_folder_appears_whole_or_not_at_all(translator, tmp_path, writes):
    writes("first")
    export_saved_model(translator, tmp_path / "old")
    writes(None)
    for name in ("old", "new"):
        with pytest.raises(OSError, match="No space left"):
            export_saved_model(translator, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old" / "saved_model.pb").read_text() == "first"


@keras.saving.register_keras_serializable(package="tests.saved_model")
class Nearer(DotProductAttention):
    """Prefers what is near."""

    def logits(self, query, key, distances):
        bias = keras.ops.cast(keras.ops.abs(distances), query.dtype)[:, None]
        return super().logits(query, key, distances) - bias


@pytest.fixture(scope="module")
def with_a_part(tokenizer):
    """A translator whose decoder has a part of somebody else's."""
    model = Transformer(tokenizer.vocabulary_size(), 1, d_model=12, num_heads=3, d_ff=17)
    model.decoder.blocks[0].self_attention.attention = Nearer()
    model.build()
    model.set_weights([3 * weight for weight in model.get_weights()])
    with searches_without_xla():
        yield Translator(model, tokenizer, max_source_length=LIMIT)


@pytest.mark.slow  # a graph of its own
def test_a_recurrent_model_is_in_the_saved_model_with_its_attention(tokenizer, tmp_path):
    """Its bottom block alone has one."""
    model = create_model("recurrent", vocabulary_size=307, num_layers=2, d_model=12)
    model.build()
    with searches_without_xla():
        recurrent = Translator(randomize(model), tokenizer, max_source_length=LIMIT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_search, "SIZES", SIZES)
        export_saved_model(recurrent, tmp_path / "1", beam_size=2, top_beams=2, max_length=11)
    texts = sentences(7, seed=2, longest=5)
    served = tf.saved_model.load(str(tmp_path / "1"))
    options = {"beam_size": 2, "top_beams": 2, "max_length": 11, "return_attention": True}
    wanted = recurrent.translate(texts, **options)
    answer = ask(served, texts)
    assert_same({name: answer[name] for name in ("translation", "score")}, wanted)
    attention = ask(served, texts, "translate_with_attention")["attention"]
    assert attention.shape[1:3] == (1, 1)
    for scores, one in zip(attention, wanted, strict=True):
        expected = one.hypotheses[0].attention
        _, _, T, S = expected.shape
        np.testing.assert_allclose(scores[:, :, :T, :S], expected, atol=1e-5)


@pytest.mark.slow  # a graph of its own
def test_a_part_of_ones_own_is_in_the_saved_model(with_a_part, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_search, "SIZES", SIZES)
        export_saved_model(with_a_part, tmp_path / "1", beam_size=1, top_beams=1, max_length=11)
    texts = sentences(3, seed=2, longest=5)
    served = ask(tf.saved_model.load(str(tmp_path / "1")), texts)
    wanted = with_a_part.translate(texts, beam_size=1, max_length=11)
    assert_same({name: served[name] for name in ("translation", "score")}, wanted)
    plain = Transformer(307, 1, d_model=12, num_heads=3, d_ff=17)
    plain.build()
    plain.set_weights(with_a_part.model.get_weights())
    other = Translator(plain, with_a_part.tokenizer, max_source_length=LIMIT)
    scores = [one.score for one in other.translate(texts, beam_size=1, max_length=11)]
    assert scores != pytest.approx([one.score for one in wanted], abs=1e-3)


@pytest.fixture(scope="module")
def with_shortlist(translator, texts):
    """A translator that searches with a shortlist."""
    listed = Translator(translator.model, translator.tokenizer, max_source_length=LIMIT)
    pairs = zip(texts, reversed(texts), strict=True)
    shortlist = make_shortlist(translator, pairs, candidates=2, num_frequent=5, size=19)
    with searches_without_xla():
        listed.shortlist = shortlist
    return listed


@pytest.mark.slow  # a graph of its own
def test_a_shortlist_is_in_the_saved_model(with_shortlist, translator, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_search, "SIZES", SIZES)
        options = {"beam_size": 2, "top_beams": 2, "max_length": 11}
        export_saved_model(with_shortlist, tmp_path / "1", **options)
    texts = sentences(7, seed=2, longest=5)
    answer = ask(tf.saved_model.load(str(tmp_path / "1")), texts)
    found = {name: answer[name] for name in ("translation", "score")}
    assert_same(found, with_shortlist.translate(texts, **options))
    plain = translator.translate(texts, **options)
    assert answer["score"][:, 0] != pytest.approx([one.score for one in plain], abs=1e-3)
    description = json.loads((tmp_path / "1/assets.extra/translator.json").read_text("utf-8"))
    assert description["shortlist_size"] == 19


def test_a_shortlist_and_quantization_exclude_each_other(with_shortlist, tmp_path):
    with pytest.raises(ValueError, match="`quantize` and a shortlist exclude each other"):
        export_saved_model(with_shortlist, tmp_path / "no", quantize="int8")
