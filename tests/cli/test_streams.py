"""Commands as filters: standard input and files of any length, outputs that grow, shards."""

import gzip
import io
import json
import sys

import pytest

from keras_transformer import Translator
from keras_transformer.__main__ import main
from tests.conftest import searches_without_xla
from tests.translation.conftest import one_size, save_run, sentences

__all__ = ["one_size"]

LINES = [*sentences(23, seed=5, longest=7), "", "two\u2028three"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def translator(run, one_size):
    with searches_without_xla():
        return Translator.load(run)


@pytest.fixture(autouse=True)
def loaded_once(translator, monkeypatch):
    monkeypatch.setattr(Translator, "load", lambda folder, *engine: translator)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("all.en", LINES)
    write("a.en", LINES[:9])
    (tmp_path / "b.en.gz").write_bytes(
        gzip.compress("".join(f"{line}\n" for line in LINES[9:]).encode())
    )
    return tmp_path


def write(name, lines):
    with open(name, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def translate(run, options):
    return main(["translate", "--run", str(run), *options.split()])


@pytest.fixture
def wanted(run, desk, capsys):
    """The output for all lines."""
    assert translate(run, "--input all.en") == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_files_are_translated_one_after_the_other(run, wanted, translator, desk, capsys):
    texts = [" ".join(one.text.splitlines()) for one in translator.translate(LINES)]
    assert wanted == "".join(f"{text}\n" for text in texts)
    assert translate(run, "--input a.en b.en.gz --output new.fr --buffer 5") == 0
    assert translate(run, "--input a.en --input b.en.gz --output new.fr.gz") == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert (desk / "new.fr").read_bytes().decode() == wanted
    assert gzip.decompress((desk / "new.fr.gz").read_bytes()).decode() == wanted
    assert {path.name for path in desk.glob("[!.]*")} == {
        "all.en", "a.en", "b.en.gz", "new.fr", "new.fr.gz"
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("options", ["", "--top-beams 2", "--sample --seed 3 --scores"])
def test_four_shards_put_together_are_one_output(run, options, desk, capsys):
    assert translate(run, f"--input a.en b.en.gz {options}") == 0
    whole = capsys.readouterr().out
    parts = ""
    for number in (3, 1, 4, 2):
        part = f"--input a.en b.en.gz --output {number}.fr --shard {number}/4 {options}"
        assert translate(run, part) == 0
        assert translate(run, f"{part} --resume") == 0  # changes nothing
    parts = "".join((desk / f"{number}.fr").read_text() for number in (1, 2, 3, 4))
    assert parts == whole
    assert capsys.readouterr().err.count("is finished: there is nothing to do.\n") == 4


def interrupted(run, options, translator, monkeypatch, after=3):
    """Runs a command that is interrupted as if by Ctrl-C, in a group of lines."""
    calls, original = [], translator.translate

    def interrupt(texts, **options):
        calls.append(texts)
        if len(calls) > after:
            raise KeyboardInterrupt
        return original(texts, **options)

    with monkeypatch.context() as patch:
        patch.setattr(translator, "translate", interrupt)
        assert translate(run, options) == 130
    return sum(map(len, calls[:-1]))


@pytest.mark.slow
@pytest.mark.parametrize("options", ["", "--top-beams 2", "--sample --seed 3"])
def test_an_interrupted_output_goes_on_where_it_was(
    run, options, desk, translator, monkeypatch, capsys
):
    assert translate(run, f"--input all.en {options}") == 0
    wanted = capsys.readouterr().out
    command = f"--input all.en --output new.fr --buffer 4 {options}"
    for after in (3, 2):
        done = interrupted(run, f"{command} --resume", translator, monkeypatch, after)
        assert done == 4 * (after - 1)  # the first call checks the options
    assert json.loads((desk / ".new.fr.progress.json").read_text())["answers"] == 12
    assert wanted.startswith((desk / "new.fr").read_text())
    assert translate(run, f"{command} --resume --buffer 100".replace("--buffer 4 ", "")) == 0
    assert (desk / "new.fr").read_text() == wanted
    assert json.loads((desk / ".new.fr.progress.json").read_text())["finished"]


CHANGES = {
    "another beam": ("--beam-size 5", r"options (beam_size)"),
    "a prefix": ("--prefix one", r"options (prefix)"),
    "scores": ("--scores", r"options (scores)"),
    "samples": ("--sample", r"options (sampling)"),
    "a shard": ("--shard 1/2", "shard"),
    "an engine": ("--engine ctranslate2", r"options (engine)"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_options_do_not_resume(name, run, desk, translator, monkeypatch, capsys):
    interrupted(run, "--input all.en --output new.fr --buffer 4", translator, monkeypatch)
    options, difference = CHANGES[name]
    assert translate(run, f"--input all.en --output new.fr --resume {options}") == 1
    expected = f"new.fr cannot be resumed: it was begun with a different {difference}. Give the"
    assert expected in capsys.readouterr().err


@pytest.mark.slow
def test_other_files_and_runs_do_not_resume(run, desk, translator, monkeypatch, capsys):
    command = "--input all.en --output new.fr"
    interrupted(run, f"{command} --buffer 4", translator, monkeypatch)
    assert translate(run, "--input a.en --output new.fr --resume") == 1
    assert "begun with a different input." in capsys.readouterr().err
    write("all.en", [*LINES[:-1], "three"])
    assert translate(run, f"{command} --resume") == 1
    assert "begun with a different input." in capsys.readouterr().err
    write("all.en", LINES)
    other = desk / "other"
    translator.save(other)
    (other / "model.weights.h5").write_bytes(b"another")
    assert translate(other, f"{command} --resume") == 1
    assert "begun with a different run (model.weights.h5" in capsys.readouterr().err
    assert translate(run, f"{command} --resume") == 0


@pytest.mark.slow
def test_an_input_that_changes_while_it_is_read_is_noticed(
    run, desk, wanted, translator, monkeypatch, capsys
):
    original = translator.translate

    def translate_and_change(texts, start=0, **options):
        if start >= 8:
            with open("all.en", "a") as file:
                file.write("more\n")
        return original(texts, start=start, **options)

    with monkeypatch.context() as patch:
        patch.setattr(translator, "translate", translate_and_change)
        assert translate(run, "--input all.en --output new.fr --buffer 4") == 1
    assert "all.en was changed while it was read." in capsys.readouterr().err
    assert (desk / "new.fr").read_text() == "".join(wanted.splitlines(keepends=True)[:8])
    assert translate(run, "--input all.en --output new.fr --resume") == 1


@pytest.mark.slow
def test_whoever_watches_a_file_grow_sees_a_bar(run, desk, monkeypatch, capsys):
    assert translate(run, "--input all.en --output quiet.fr") == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert translate(run, "--input all.en --output new.fr") == 0
    assert f"{len(LINES)}/{len(LINES)}" in capsys.readouterr().err
    assert translate(run, "--input all.en") == 0  # the lines are seen
    assert capsys.readouterr().err == ""


def reads(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.slow
def test_lines_before_a_bad_one_are_answered(run, wanted, monkeypatch, capsys):
    content = "".join(f"{line}\n" for line in LINES[:5]).encode()
    for bad, message in ((b"\xe9t\xe9\n", "is not UTF-8"), (b"a\0b\n", "has a NUL character")):
        reads(monkeypatch, content + bad + content)
        assert translate(run, "") == 1
        captured = capsys.readouterr()
        assert captured.out == "".join(wanted.splitlines(keepends=True)[:5])
        assert f"error: Line 6 of standard input {message}" in captured.err


def test_a_closed_standard_input_is_one_line(run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert translate(run, "") == 1
    assert "error: Standard input is closed. Give texts, or files.\n" in capsys.readouterr().err


def test_pairs_of_standard_input_are_scored(run, translator, monkeypatch, capsys):
    reads(monkeypatch, b"one two\tthree\n\tfour\nred cat\tdog one\n")
    assert main(["score", "--run", str(run)]) == 0
    found = [float(line) for line in capsys.readouterr().out.splitlines()]
    scores = translator.score(["one two", "", "red cat"], ["three", "four", "dog one"])
    assert found == pytest.approx([score.log_prob for score in scores], abs=1e-4)
    reads(monkeypatch, b"one\ttwo\none\n")
    assert main(["score", "--run", str(run)]) == 1
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert "Line 2 of standard input has 1 columns. Expected a text and its" in captured.err


def test_scores_grow_and_resume_in_shards(run, desk, capsys):
    write("all.fr", LINES[::-1])
    files = ["score", "--run", str(run), "--source", "all.en", "--target", "all.fr", "--tokens"]
    assert main(files) == 0
    wanted = capsys.readouterr().out
    for number in "12":
        part = [*files, "--shard", f"{number}/2", "--output", f"{number}.txt", "--buffer", "3"]
        assert main(part) == 0
    assert (desk / "1.txt").read_text() + (desk / "2.txt").read_text() == wanted
    assert main([*files, "--output", "1.txt"]) == 1
    assert "1.txt already exists" in capsys.readouterr().err
