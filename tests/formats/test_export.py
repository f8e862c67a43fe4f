"""One door to all formats, in Python and on the command line."""

import sys

import pytest

import keras_transformer as kt
from keras_transformer import Tokenizer, Transformer, Translator, formats
from keras_transformer.__main__ import main

SAVED_MODEL_OPTIONS = "beam_size, top_beams, length_penalty, max_length, xla, quantize"


@pytest.fixture
def written(monkeypatch):
    """What would have been written."""
    calls = []

    def saved_model(
        translator, folder, *, beam_size=4, top_beams=1, length_penalty=0.6, max_length=None,
        xla=False, quantize=None,
    ):  # fmt: skip
        given = {k: v for k, v in locals().items() if k not in ("translator", "folder", "calls")}
        calls.append(("saved_model", translator, folder, given))

    def ctranslate2(translator, folder):
        calls.append(("ctranslate2", translator, folder, {}))

    def keras(translator, folder):
        calls.append(("keras", translator, folder, {}))

    for function in (saved_model, ctranslate2, keras):
        monkeypatch.setitem(formats.EXPORTS, function.__name__, function)
    monkeypatch.setattr(Translator, "load", lambda folder: f"the translator of {folder}")
    return calls


DEFAULTS = {
    "beam_size": 4, "top_beams": 1, "length_penalty": 0.6, "max_length": None, "xla": False,
    "quantize": None,
}  # fmt: skip


def test_every_format_has_its_function(written):
    for format in ("saved_model", "ctranslate2", "keras"):
        kt.export("mine", "there", format)
    kt.export("mine", "there", beam_size=7, xla=True)
    assert written == [
        ("saved_model", "mine", "there", DEFAULTS),
        ("ctranslate2", "mine", "there", {}),
        ("keras", "mine", "there", {}),
        ("saved_model", "mine", "there", {**DEFAULTS, "beam_size": 7, "xla": True}),
    ]


def test_the_stand_ins_take_what_the_functions_take():
    from inspect import signature

    options = {name: one.default for name, one in
               list(signature(formats.export_saved_model).parameters.items())[2:]}  # fmt: skip
    assert options == DEFAULTS
    assert len(signature(formats.export_keras).parameters) == 2
    assert len(signature(formats.export_ctranslate2).parameters) == 2


@pytest.mark.parametrize(("format", "options", "message"), [
    ("onnx", {}, "`format` must be one of saved_model, ctranslate2, keras. Received: 'onnx'"),
    ("keras", {"xla": True}, "The format 'keras' takes no options. Received: xla"),
    ("ctranslate2", {"beam_size": 4}, "'ctranslate2' takes no options. Received: beam_size"),
    ("saved_model", {"beams": 4, "top_beams": 2},
     f"The format 'saved_model' only takes {SAVED_MODEL_OPTIONS}. Received: beams$"),
])  # fmt: skip
def test_formats_and_options_that_are_not_there(written, format, options, message):
    with pytest.raises(ValueError, match=message):
        kt.export("mine", "there", format, **options)
    assert written == []


@pytest.mark.parametrize(("options", "format", "given"), [
    ([], "saved_model", DEFAULTS),
    (["--format", "keras"], "keras", {}),
    (["--format=ctranslate2"], "ctranslate2", {}),
    (["--beam-size", "7", "--top-beams", "3", "--length-penalty", "0", "--max-length", "31",
      "--xla", "--quantize", "int8"], "saved_model",
     {"beam_size": 7, "top_beams": 3, "length_penalty": 0.0, "max_length": 31, "xla": True,
      "quantize": "int8"}),
])  # fmt: skip
def test_options_of_the_command_line(written, tmp_path, options, format, given):
    assert main(["export", "--run", "run", "--output", str(tmp_path), *options]) == 0
    assert written == [(format, "the translator of run", tmp_path, given)]


@pytest.mark.parametrize(("arguments", "message"), [
    (["--format", "onnx"], "`format` must be one of saved_model, ctranslate2, keras."),
    (["--format", "keras", "--beam-size", "4"],
     "The format 'keras' takes no options. Received: beam_size"),
    (["--format", "ctranslate2", "--xla"], "takes no options. Received: xla"),
])  # fmt: skip
def test_what_cannot_be_is_said_in_one_line(written, capsys, arguments, message):
    assert main(["export", "--run", "run", "--output", "there", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert written == []


def test_a_run_that_is_not_there(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["export", "--run", str(run), "--output", str(tmp_path / "new")]) == 1
    assert f"{run} does not exist, so it is not a finished run." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_becomes_a_keras_file_on_the_command_line(tmp_path):
    """All the way, in the format that is written soonest."""
    tokenizer = Tokenizer.train(["one two three", "four five"], 277, model_type="bpe")
    model = Transformer(277, num_layers=1, d_model=6, num_heads=2, d_ff=7)
    Translator(model, tokenizer).save(tmp_path / "run")
    command = ["export", "--run", str(tmp_path / "run"), "--output", str(tmp_path / "new")]
    assert main([*command, "--format", "keras"]) == 0
    assert (tmp_path / "new" / "model.keras").is_file()
    assert "tensorflow" in sys.modules
