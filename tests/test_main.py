import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_transformer import Tokenizer, Transformer, Translator
from keras_transformer.__main__ import COMMANDS, main, parse

ROOT = Path(__file__).parents[1]
LINES = ["one two three", "four five", "six seven one", "two two two two", "seven six"]
LIMIT = 23


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    tokenizer = Tokenizer.train(LINES, 277, model_type="bpe")
    model = Transformer(277, num_layers=1, d_model=6, num_heads=2, d_ff=7)
    Translator(model, tokenizer, max_source_length=LIMIT).save(folder)
    return folder


@pytest.fixture
def translations(run):
    found = Translator.load(run).translate(LINES)
    return [" ".join(translation.text.splitlines()) for translation in found]


def reads(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_texts_are_translated_a_line_each(run, translations, capsys):
    assert main(["translate", "--run", str(run), *LINES]) == 0
    assert capsys.readouterr().out.split("\n") == [*translations, ""]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_lines_of_standard_input_are_translated(run, translations, monkeypatch, capsys, end):
    lines = [LINES[0], "", *LINES[1:], " "]
    reads(monkeypatch, ("\ufeff" + end.join(lines)).encode())
    assert main(["translate", "--run", str(run)]) == 0
    wanted = [translations[0], "", *translations[1:], "", ""]
    assert capsys.readouterr().out.split("\n") == wanted


def test_no_input_is_no_output(run, monkeypatch, capsys):
    reads(monkeypatch, b"")
    assert main(["translate", "--run", str(run)]) == 0
    assert capsys.readouterr().out == ""


def test_a_line_of_input_is_a_line_of_output(run, monkeypatch, capsys):
    """Whatever Unicode calls a line break stays within its line."""
    reads(monkeypatch, "one\u2028two\x0bthree\nfour\x85five\n".encode())
    assert main(["translate", "--run", str(run)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_an_over_long_line_is_translated_in_pieces_and_named(run, monkeypatch, capsys):
    long = " ".join(["one two three four five six seven."] * 7)
    reads(monkeypatch, f"one\n{long}\ntwo\n".encode())
    assert main(["translate", "--run", str(run)]) == 0
    captured = capsys.readouterr()
    (whole,) = Translator.load(run).translate([long])
    pieces = len(Translator.load(run).split(long))
    assert pieces > 5
    lines = captured.out.split("\n")
    assert len(lines) == 4
    assert lines[1] == " ".join(whole.text.splitlines())
    assert captured.err == (
        f"Line 2 is longer than the {LIMIT} tokens that the model reads: it is translated in "
        f"{pieces} pieces.\n"
    )


def test_evaluate_reports_on_two_files(run, translations, tmp_path, capsys):
    source, reference = tmp_path / "a.en", tmp_path / "a.fr"
    source.write_bytes("\ufeff{}\n".format("\n".join(LINES)).encode())
    rows = [*translations[:3], "il dort", "elle dort"]
    reference.write_text("\ufeff" + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    files = ["--source", str(source), "--reference", str(reference)]
    assert main(["evaluate", "--run", str(run), *files, "--words", "il, elle"]) == 0
    out = capsys.readouterr().out
    assert "sentences    5\n" in out
    assert "exact match  60.00 %\n" in out
    assert "BLEU" in out
    assert "chrF" in out
    assert "il, elle     0.00 % of 2 sentences" in out


def test_help_names_every_command_and_option(capsys):
    for arguments, words in (
        (["--help"], [*COMMANDS]),
        (["translate", "--help"], ["--run", "Translates texts"]),
        (["evaluate", "--help"], ["--run", "--source", "--reference", "--words"]),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        out = capsys.readouterr().out
        assert all(word in out for word in words)


def test_options_are_what_the_function_takes():
    function, options = parse(["translate", "--run", "a", "--", "--one-two"])
    assert function is COMMANDS["translate"]
    assert options == {"run": Path("a"), "text": ["--one-two"]}


def test_the_program_translates_and_says_nothing_else(run, translations):
    """In a process of its own, through standard input and output, in UTF-8."""
    result = subprocess.run(
        [sys.executable, "-m", "keras_transformer", "translate", "--run", str(run)],
        input="\n".join(LINES).encode(),
        capture_output=True,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
        check=False,
    )
    assert result.returncode == 0
    assert result.stderr == b""
    assert result.stdout.decode().split("\n") == [*translations, ""]
