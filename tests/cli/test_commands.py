import gzip
import importlib.metadata
import inspect
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keras_transformer import Sampling, Tokenizer, Translator
from keras_transformer.__main__ import COMMANDS, main, parse
from keras_transformer.translation.results import Hypothesis, make_translation
from tests.conftest import searches_without_xla
from tests.translation.conftest import BYTES, make_model

ROOT = Path(__file__).parents[1]
LINES = ["one two three", "four five", "six seven one", "two two two two", "seven six"]
LIMIT = 16


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    tokenizer = Tokenizer.train(LINES, 277, model_type="bpe")
    model = make_model(277, seed=21, like_eos=262, seldom=BYTES)
    Translator(model, tokenizer, max_source_length=LIMIT).save(folder)
    return folder


@pytest.fixture(scope="module")
def translator(run):
    with searches_without_xla():
        return Translator.load(run)


@pytest.fixture(scope="module")
def translations(translator):
    found = [" ".join(one.text.splitlines()) for one in translator.translate(LINES)]
    assert len(set(found)) == len(LINES)
    return found


@pytest.fixture(autouse=True)
def loaded_once(translator, monkeypatch):
    """So that nothing is compiled twice."""
    monkeypatch.setattr(Translator, "load", lambda folder, *_, **engine: translator)


class Recorder:
    """A translator that has its answers ready, and keeps what it was asked."""

    max_source_length = LIMIT

    def __init__(self):
        self.asked = {}
        self.about = {}

    def translate(self, *arguments, **options):
        bound = inspect.signature(Translator.translate).bind(self, *arguments, **options)
        bound.apply_defaults()
        self.asked = bound.arguments
        if self.asked["progress"]:
            self.asked["progress"](3, 7)
            self.asked["progress"](7, 7)
        several = [
            Hypothesis("un\x85chat", -0.5, -1.5),
            Hypothesis("un chien", -23.45678, -5.0),
            Hypothesis("", -float("inf"), -float("inf"), finished=False),
        ]
        return [
            make_translation(
                several[: self.asked["top_beams"]] if text else [Hypothesis("", 0.0, 0.0)]
            )
            for text in self.asked["texts"]
        ]


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(Translator, "load", lambda folder, *_, **engine: recorder)
    return recorder


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


@pytest.mark.parametrize(("options", "more"), [
    ([], {}), (["--beam-size", "7", "--top-beams", "2", "--length-penalty", "1.25"],
               {"beam_size": 7, "top_beams": 2, "length_penalty": 1.25}),
    (["--max-length", "31", "--min-length", "5", "--no-repeat-ngram-size", "3"],
     {"max_length": 31, "min_length": 5, "no_repeat_ngram_size": 3}),
    (["--prefix", "a b"], {"prefixes": ["a b"] * 2}), (["--prefix=-7"], {"prefixes": ["-7"] * 2}),
    (["--sample"], {"sampling": Sampling(1.0, 0, 1.0, 0)}),
    (["--sample", "--temperature", "0.7", "--top-k", "5", "--top-p", "0.9", "--seed", "11"],
     {"sampling": Sampling(temperature=0.7, top_k=5, top_p=0.9, seed=11)}),
])  # fmt: skip
def test_options_of_translate_are_those_of_the_translator(recorder, options, more, capsys):
    assert main(["translate", "--run", "run", *options, "--", "one", "1.50"]) == 0
    usual = {"beam_size": 4, "top_beams": 1, "length_penalty": 0.6, "max_length": None,
             "min_length": 0, "prefixes": ["", ""], "no_repeat_ngram_size": 0, "sampling": None,
             "return_attention": False, "start": 0, "progress": None}  # fmt: skip
    assert recorder.asked == {"self": recorder, "texts": ["one", "1.50"], **usual, **more}


@pytest.mark.parametrize(("options", "lines"), [
    ([], ["un chat", "", "un chat"]),
    (["--scores"], ["-0.5000\tun chat", "0.0000\t", "-0.5000\tun chat"]),
    (["--top-beams", "2"], ["1\t-0.5000\tun chat", "1\t-23.4568\tun chien", "2\t0.0000\t",
                            "3\t-0.5000\tun chat", "3\t-23.4568\tun chien"]),
    (["--top-beams", "3", "--scores"],
     ["1\t-0.5000\tun chat", "1\t-23.4568\tun chien", "1\t-inf\t", "2\t0.0000\t",
      "3\t-0.5000\tun chat", "3\t-23.4568\tun chien", "3\t-inf\t"]),
])  # fmt: skip
def test_how_translations_are_printed(recorder, options, lines, capsys):
    """Of several each says which text it is of; a line break within one is none."""
    assert main(["translate", "--run", "run", *options, "--", "one", "", "two"]) == 0
    captured = capsys.readouterr()
    assert captured.out.split("\n") == [*lines, ""]
    assert captured.err == ""


@pytest.mark.slow
def test_samples_are_the_same_for_the_same_seed(run, translator, capsys):
    options = ["translate", "--run", str(run), "--sample", "--max-length", "29"]
    printed = []
    for seed in (5, 5, 6):
        assert main([*options, "--seed", str(seed), *LINES]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]
    found = translator.translate(LINES, max_length=29, sampling=Sampling(seed=6))
    wanted = "".join("{}\n".format(" ".join(one.text.splitlines())) for one in found)
    assert printed[2] == wanted


def test_whoever_watches_sees_a_bar(recorder, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["translate", "--run", "run", *["one"] * 99]) == 0
    assert recorder.asked["progress"] is None
    assert main(["translate", "--run", "run", *["one"] * 100]) == 0
    assert "7/7" in capsys.readouterr().err


def test_an_over_long_line_is_translated_in_pieces_and_named(run, monkeypatch, capsys):
    long = " ".join(["one two three."] * 3)
    reads(monkeypatch, f"one\n{long}\ntwo\n".encode())
    assert main(["translate", "--run", str(run)]) == 0
    captured = capsys.readouterr()
    (whole,) = Translator.load(run).translate([long])
    pieces = len(Translator.load(run).split(long))
    assert pieces == 3
    lines = captured.out.split("\n")
    assert len(lines) == 4
    assert lines[1] == " ".join(whole.text.splitlines())
    assert captured.err == (
        f"Line 2 is longer than the {LIMIT} tokens that the model reads: it was translated in "
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


def test_evaluate_searches_as_it_is_told(recorder, tmp_path, capsys):
    source, reference = tmp_path / "a.en", tmp_path / "a.fr.gz"
    source.write_text("one\ntwo\n")
    reference.write_bytes(gzip.compress(b"un\xc2\x85chat\nun chien\n"))
    files = ["--source", str(source), "--reference", str(reference)]
    for options, numbers in (
        ([], (4, 0.6)),
        (["--beam-size", "1"], (1, 0.6)),
        (["--beam-size", "5", "--length-penalty", "1.5"], (5, 1.5)),
    ):
        assert main(["evaluate", "--run", "run", *files, *options]) == 0
        assert "exact match  50.00 %\n" in capsys.readouterr().out
        assert (recorder.asked["beam_size"], recorder.asked["length_penalty"]) == numbers
        assert recorder.asked["texts"] == ["one", "two"]
        assert recorder.asked["top_beams"] == 1


@pytest.mark.parametrize(
    ("language", "options", "tokenizer"),
    [
        ("target", [], "13a"),
        ("zh-Hans", [], "zh"),
        ("zh", ["--bleu-tokenizer", "char"], "char"),
    ],
)
def test_evaluate_says_how_bleu_counts_tokens(
    recorder, language, options, tokenizer, tmp_path, capsys
):
    recorder.about["target_language"] = language
    (tmp_path / "a").write_text("one\ntwo\n")
    files = ["--source", str(tmp_path / "a"), "--reference", str(tmp_path / "a")]
    assert main(["evaluate", "--run", "run", *files, *options]) == 0
    assert f"|tok:{tokenizer}|" in capsys.readouterr().out


def test_score_prints_a_line_a_pair(run, translator, tmp_path, capsys):
    """Its log-probability, and those of its tokens if asked for, EOS included."""
    source, target = tmp_path / "a.en.gz", tmp_path / "a.fr"
    source.write_bytes(gzip.compress("\ufeff{}\r\n".format("\r\n".join([*LINES, ""])).encode()))
    target.write_text("".join(f"{line}\n" for line in [*reversed(LINES), ""]), encoding="utf-8")
    command = ["score", "--run", str(run), "--source", str(source), "--target", str(target)]
    assert main(command) == 0
    lines = capsys.readouterr().out.split("\n")
    assert main([*command, "--tokens"]) == 0
    with_tokens = capsys.readouterr().out.split("\n")
    assert len(lines) == len(with_tokens) == 7
    found = translator.score([*LINES, ""], [*reversed(LINES), ""])
    for score, line, line_with_tokens in zip(found, lines, with_tokens, strict=False):
        assert float(line) == pytest.approx(score.log_prob, abs=1e-4)
        total, *tokens = line_with_tokens.split("\t")
        assert total == line
        pieces, log_probs = zip(*(token.split(" ") for token in tokens), strict=True)
        assert pieces == score.tokens
        assert pieces[-1] == "</s>"
        assert sum(map(float, log_probs)) == pytest.approx(float(line), abs=1e-3)


def test_score_of_empty_files_is_nothing(run, tmp_path, capsys):
    (tmp_path / "empty").touch()
    files = ["--source", str(tmp_path / "empty"), "--target", str(tmp_path / "empty")]
    assert main(["score", "--run", str(run), *files]) == 0
    assert capsys.readouterr().out == ""


def test_help_names_every_command_and_option(capsys):
    for arguments, words in (
        (["--help"], [*COMMANDS]),
        (["translate", "--help"], ["--run", "Translates texts", "--beam_size", "--top_beams",
                                   "--length_penalty", "--max_length", "--min_length", "--prefix",
                                   "--no_repeat_ngram_size", "--scores", "--sample",
                                   "--temperature", "--top_k", "--top_p", "--seed", "--input",
                                   "--output", "--resume", "--overwrite", "--shard"]),
        (["score", "--help"], ["--run", "--source", "--target", "--tokens", "--output"]),
        (["evaluate", "--help"], ["--run", "--source", "--reference", "--words", "--beam_size",
                                  "--length_penalty"]),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        out = capsys.readouterr().out
        assert all(word in out for word in words)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("translate --run a --sample --beam-size 7 one", 1, "--beam-size only applies to"),
        ("evaluate --run a --source b --reference c --bleu-tokenizer 12a", 1, "no tokenizer '12a'. "
                                                                              "Expected auto or"),
        ("evaluate --run a --source b --reference c --words il,a-b", 1, "single words to look for. "
                                                                        "Received: 'a-b'"),
        ("illustrate --run a --output no/page.html one", 1, "folder no of --output does not exist"),
        ("import --output a", 2, "arguments are required: from (see python -m keras_transformer "
                                 "import --help)"),
        ("illustrate one", 2, "arguments are required: run, output (see python -m "
                              "keras_transformer illustrate --help)"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_before_a_run_is_loaded(
    arguments, code, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Translator, "load", None)
    assert main(arguments.split()) == code
    assert message in capsys.readouterr().err


def test_texts_may_be_left_out_and_help_says_so(capsys):
    with pytest.raises(SystemExit):
        main(["translate", "--help"])
    assert "the lines of standard input. (type: str, default: null)" in " ".join(
        capsys.readouterr().out.split()
    )
    assert parse(["translate", "--run", "a"])[1]["text"] == []


def test_options_are_what_the_function_takes():
    function, options, modules = parse(["translate", "--run", "a", "--", "--one-two"])
    assert function is COMMANDS["translate"]
    assert modules == []
    usual = inspect.signature(function).parameters
    assert options.pop("run") == Path("a")
    assert options.pop("text") == ["--one-two"]
    assert options == {name: usual[name].default for name in usual if name not in ("run", "text")}


@pytest.mark.slow
def test_the_program_translates_and_says_nothing_else(run, translator):
    """In a process of its own, through standard input and output, in UTF-8."""
    options = ["--run", str(run), "--max-length", "29"]
    result = subprocess.run(
        [sys.executable, "-m", "keras_transformer", "translate", *options],
        input="\n".join(LINES).encode(),
        capture_output=True,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
        check=False,
    )
    assert result.returncode == 0
    said = result.stderr.decode().splitlines()
    if importlib.metadata.version("tensorflow").startswith("2.20."):
        # XLA's notes on its first compilation, which no variable or option of 2.20 silences.
        said = [line for line in said if not re.match(r"WARNING: All log messages|I0000 ", line)]
    assert said == []
    found = translator.translate(LINES, max_length=29)
    wanted = [" ".join(one.text.splitlines()) for one in found]
    assert result.stdout.decode().split("\n") == [*wanted, ""]
