"""Commands on the run of a language model: scores, measures and exports, or one line of refusal."""

import math

import keras
import pytest

from keras_transformer import LanguageModel, TextGenerator, Tokenizer, Transformer, Translator
from keras_transformer.__main__ import main
from tests.conftest import python_process
from tests.translation.conftest import sentences
from tests.weights import randomize

TEXTS = ["one two three", "", "the cat"]
SIZES = {"num_layers": 1, "d_model": 12, "num_heads": 3, "d_ff": 17}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with the runs of a language model and of a translator, and a text."""
    folder = tmp_path_factory.mktemp("desk")
    tokenizer = Tokenizer.train(sentences(211, seed=1), 290, model_type="bpe")
    keras.utils.set_random_seed(3)
    model = LanguageModel.from_sizes(290, **SIZES)
    model.build()
    TextGenerator(randomize(model), tokenizer, 13).save(folder / "lm")
    translator = Translator(Transformer(290, **SIZES), tokenizer, max_source_length=13)
    translator.save(folder / "translator")
    (folder / "texts.txt").write_text("\n".join([*TEXTS, ""]))
    (folder / "empty.txt").write_text("")
    return folder


@pytest.fixture(autouse=True)
def at_the_desk(desk, monkeypatch):
    monkeypatch.chdir(desk)


@pytest.fixture(scope="module")
def scores(desk):
    return TextGenerator.load(desk / "lm").score(TEXTS)


@pytest.mark.slow
def test_score_prints_the_log_probability_of_each_line(scores, capsys):
    assert main(["score", "--run", "lm", "--target", "texts.txt"]) == 0
    lines = [float(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == pytest.approx([score.log_prob for score in scores], abs=1e-4)
    assert main(["score", "--run", "lm", "--target", "texts.txt", "--tokens"]) == 0
    columns = capsys.readouterr().out.splitlines()[0].split("\t")[1:]
    assert tuple(column.rsplit(" ", 1)[0] for column in columns) == scores[0].tokens
    assert main(["score", "--run", "lm", "--target", "empty.txt"]) == 0
    assert capsys.readouterr().out == ""


def measured(scores, texts):
    total = sum(score.log_prob for score in scores)
    tokens = sum(len(score.tokens) for score in scores)
    bits = -total / math.log(2) / sum(len(text) + 1 for text in texts)
    printed = f"Perplexity {math.exp(-total / tokens):.2f}, {bits:.3f} bits per character"
    return f"{printed} ({len(texts)} texts, {tokens} tokens)\n"


def test_evaluate_prints_how_well_a_text_is_predicted(scores, capsys):
    """Blank lines are no documents."""
    assert main(["evaluate", "--run", "lm", "--reference", "texts.txt"]) == 0
    assert capsys.readouterr().out == measured([scores[0], scores[2]], [TEXTS[0], TEXTS[2]])


@pytest.mark.slow
def test_evaluate_divides_the_text_as_the_training_did(desk, tmp_path, capsys):
    generator = TextGenerator.load(desk / "lm")
    generator.about["documents"] = "paragraphs"
    generator.save(tmp_path / "run")
    (tmp_path / "texts.txt").write_text("one\ntwo three\n\nthe cat\n")
    command = ["evaluate", "--run", str(tmp_path / "run"), "--reference"]
    assert main([*command, str(tmp_path / "texts.txt")]) == 0
    texts = ["one two three", "the cat"]
    assert capsys.readouterr().out == measured(generator.score(texts), texts)


@pytest.mark.parametrize(("format", "name"), [
    ("keras", "model.keras"), ("ctranslate2", "model.bin"),
])  # fmt: skip
def test_export_writes_every_format(format, name, tmp_path):
    if format == "ctranslate2":
        pytest.importorskip("ctranslate2")
    command = ["export", "--run", "lm", "--output", str(tmp_path / "new"), "--format", format]
    assert main(command) == 0
    assert (tmp_path / "new" / name).is_file()


@pytest.mark.slow
def test_export_in_a_process_of_its_own(desk, tmp_path):
    pytest.importorskip("tensorflow_text")
    options = ["--beam-size", "1", "--max-length", "5"]
    command = ["export", "--run", str(desk / "lm"), "--output", str(tmp_path / "1"), *options]
    process = python_process("-m", "keras_transformer", *command)
    assert process.returncode == 0, process.stderr
    import tensorflow as tf

    served = tf.saved_model.load(str(tmp_path / "1"))
    texts = served.generate(tf.constant(TEXTS))["text"]
    wanted = TextGenerator.load(desk / "lm").generate(TEXTS, beam_size=1, max_length=5)
    assert [row[0].decode() for row in texts.numpy()] == [one.text for one in wanted]


@pytest.mark.parametrize(("command", "message"), [
    ("score --run lm --target texts.txt --source texts.txt",
     "--source does not apply to a language model, which the run holds. Expected: score --run RUN"),
    ("score --run translator --target texts.txt", "A translator's run needs --source"),
    ("score --run lm --target missing.txt", "missing.txt"),
    ("evaluate --run lm --reference texts.txt --words il --beam-size 2",
     "--words, --beam-size does not apply to a language model"),
    ("evaluate --run lm --reference empty.txt", "empty.txt holds no text"),
    ("evaluate --run translator --reference texts.txt", "A translator's run needs --source"),
    ("export --run lm --output new --format onnx", "`format` must be one of"),
    ("export --run lm --output new --format keras --xla", "takes no options. Received: xla"),
    ("illustrate --run lm --output page.html one", "holds the run of a language model"),
    ("translate --run lm one", "holds the run of a language model"),
    ("serve --run lm", "holds the run of a language model"),
    ("generate --run translator one", "holds the run of a translator"),
])  # fmt: skip
def test_what_it_cannot_do_is_one_line(command, message, desk, capsys):
    before = sorted(desk.iterdir())
    assert main(command.split()) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(desk.iterdir()) == before
