import gzip
import hashlib

import pytest

from keras_transformer.data import Entry, ParallelFiles, TsvFile


def write(path, raw: bytes):
    if path.suffix == ".gz":
        raw = gzip.compress(raw)
    path.write_bytes(raw)
    return path


@pytest.fixture(params=["", ".gz"])
def files(request, tmp_path):
    """Writes two parallel files, plain and gzipped in turn, and opens them."""

    def make(source: bytes, target: bytes) -> ParallelFiles:
        return ParallelFiles(
            write(tmp_path / f"text.en{request.param}", source),
            write(tmp_path / f"text.de{request.param}", target),
        )

    return make


@pytest.fixture(params=["", ".gz"])
def tsv(request, tmp_path):
    def make(raw: bytes, **options) -> TsvFile:
        return TsvFile(write(tmp_path / f"text.tsv{request.param}", raw), **options)

    return make


def test_line_n_belongs_to_line_n(files):
    corpus = files("a cat\nStraße\n".encode(), b"eins\nzwei")
    assert list(corpus) == list(corpus) == [("a cat", "eins"), ("Straße", "zwei")]


def test_lines_end_at_newlines_alone(files):
    strange = "a\u2028b\x0bc\x0cd\x85e\x1cf\rg"
    corpus = files(f"{strange}\r\nlast\r\n".encode(), b"one\ntwo\n")
    assert list(corpus) == [(strange, "one"), ("last", "two")]


def test_a_byte_order_mark_is_dropped_at_the_start_alone(files):
    corpus = files("\ufeffa\n\ufeffb\n".encode(), "\ufeffc\nd\n".encode())
    assert list(corpus) == [("a", "c"), ("\ufeffb", "d")]


def test_empty_lines_are_entries(files):
    assert list(files(b"a\n\nb\n", b"c\nd\n\n")) == [("a", "c"), ("", "d"), ("b", "")]


def test_lines_that_are_not_utf8_are_problems(files):
    entries = list(files(b"a\nb\xff\nc\nd\n", b"e\nf\n\xc3\nh\n").entries())
    assert entries[0] == Entry(1, "a", "e")
    assert entries[1:3] == [Entry(2, "", "", "not UTF-8"), Entry(3, "", "", "not UTF-8")]
    assert entries[3] == Entry(4, "d", "h")


def test_no_line_of_utf8_is_an_error(files):
    with pytest.raises(ValueError, match=r"^No line of .*text\.en.* holds a pair\. Expected UTF-8"):
        list(files(b"\xff\n\xfe\n", b"a\nb\n"))


@pytest.mark.parametrize(("lines", "counts"), [((3, 7), "3, .* has 7"), ((5, 2), "5, .* has 2")])
def test_unequal_files_are_an_error(files, lines, counts):
    corpus = files(*(b"word\n" * count for count in lines))
    with pytest.raises(
        ValueError, match=rf"same number of lines: .*text\.en.* has {counts}\. Find"
    ):
        list(corpus)


@pytest.mark.parametrize("texts", [(b"", b"a\n"), (b"a\n", b""), (b"", b"")])
def test_an_empty_file_is_an_error(files, texts):
    with pytest.raises(ValueError, match=r"is empty\. Expected one sentence per line\.$"):
        list(files(*texts))


def test_utf16_is_named(files):
    with pytest.raises(ValueError, match=r"text\.en.* is UTF-16\. Expected UTF-8"):
        list(files("ab\n".encode("utf-16"), b"a\n"))


def test_a_missing_file_is_named(tmp_path):
    there = write(tmp_path / "there", b"a\n")
    with pytest.raises(FileNotFoundError, match=r"^There is no file .*missing\.de\. Expected"):
        ParallelFiles(there, tmp_path / "missing.de")
    with pytest.raises(FileNotFoundError, match=r"^There is no file .*missing\.tsv\. Expected"):
        TsvFile(tmp_path / "missing.tsv")


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_gzip_file_is_named(tmp_path, damage):
    whole = gzip.compress(b"".join(b"line %d\n" % number for number in range(5003)))
    flipped = whole[:997] + bytes([whole[997] ^ 255]) + whole[998:]
    (tmp_path / "a.gz").write_bytes({"cut": whole[:-1000], "flipped": flipped}[damage])
    message = r"^.*a\.gz is damaged: its compressed data cannot be read \(.+\)\. Download or"
    with pytest.raises(ValueError, match=message):
        list(TsvFile(tmp_path / "a.gz").entries())


def test_the_fingerprint_follows_the_content_and_not_the_place(tmp_path):
    texts = {"a": b"x\n", "b": b"x\n", "c": b"y\n"}
    a, b, c = (write(tmp_path / name, raw) for name, raw in texts.items())
    assert ParallelFiles(a, c).fingerprint() == ParallelFiles(b, c).fingerprint()
    assert ParallelFiles(a, c).fingerprint() != ParallelFiles(c, a).fingerprint()
    assert TsvFile(a).fingerprint() != TsvFile(a, columns=3).fingerprint()


def test_a_tab_divides_the_pair(tsv):
    corpus = tsv(b'"a" cat\teine "Katze"\r\nb\t\n')
    assert list(corpus) == [('"a" cat', 'eine "Katze"'), ("b", "")]


def test_lines_with_other_columns_are_problems(tsv):
    entries = list(tsv(b"a\tb\nno tab\na\tb\tc\n\xff\tb\n", columns=2).entries())
    problems = [None, "no tab", "not 2 columns", "not UTF-8"]
    assert [entry.problem for entry in entries] == problems
    assert [entry.line for entry in entries] == [1, 2, 3, 4]


def test_further_columns_are_left_aside_when_expected(tsv):
    assert list(tsv(b"a\tb\tby C.\n", columns=3)) == [("a", "b")]
    with pytest.raises(ValueError, match=r"^`columns` must be at least 2\. Received: 1$"):
        tsv(b"a\n", columns=1)


def test_a_file_without_tabs_is_an_error(tsv):
    message = (
        r"^No line of .*text\.tsv.* holds a pair\. .* The problem of the first line: {}\. Check"
    )
    with pytest.raises(ValueError, match=message.format("no tab")):
        list(tsv(b"one\ntwo\n"))
    with pytest.raises(ValueError, match=message.format("not 2 columns")):
        list(tsv(b"a\tb\tby C.\n\xff\n", columns=2))


def test_the_first_two_columns_are_the_pair_and_more_are_noted(tsv):
    entries = list(tsv(b"Go.\tVa !\tCC-BY 2.0\nHi.\tSalut.\n\tx\ty\tz\n").entries())
    assert [entry[1:] for entry in entries] == [
        ("Go.", "Va !", None, "extra columns ignored"), ("Hi.", "Salut.", None, None),
        ("", "x", None, "extra columns ignored"),
    ]  # fmt: skip


def test_columns_can_be_chosen(tsv):
    raw = b"1\tGo.\t2\tVa !\tx\n1\tHi.\t3\n"
    assert list(tsv(raw, columns=(2, 4))) == [("Go.", "Va !")]
    assert list(tsv(raw, columns=[3, 2])) == [("2", "Go."), ("3", "Hi.")]
    problems = [entry.problem for entry in tsv(raw, columns=(2, 4)).entries()]
    assert problems == [None, "fewer than 4 columns"]
    for bad in ((1,), (1, 1), (0, 1), (1, 2, 3), ("1", "2")):
        with pytest.raises(ValueError, match=r"^`columns` must be the different columns of source"):
            tsv(raw, columns=bad)


def test_the_fingerprint_of_the_first_two_columns_is_as_ever(tmp_path):
    digest = hashlib.blake2b(b"a\tb\n").hexdigest()[:32]
    (tmp_path / "a.tsv").write_bytes(b"a\tb\n")
    columns = (None, 3, 2, (1, 2), (2, 1))
    prints = [TsvFile(tmp_path / "a.tsv", numbers).fingerprint() for numbers in columns]
    assert prints[:2] == [f"{digest} 2", f"{digest} 3"]
    assert len(set(prints)) == 5


def test_a_nul_character_is_a_problem_of_its_line(files, tsv):
    text = b"a fine sentence\n" * 9
    entries = list(files(text + b"b\0\n", text + b"c\n").entries())
    assert [entry.problem for entry in entries] == [None] * 9 + ["NUL character"]
    entries = list(tsv(b"a fine\tsentence\n" * 9 + b"b\tc\0\n").entries())
    assert [entry.problem for entry in entries] == [None] * 9 + ["NUL character"]
