"""Lines of files, counted first, read as a whole or in shards."""

import gzip
import os

import pytest

from keras_transformer.serving import Shard, TextSource


def write(path, *lines):
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture
def files(tmp_path):
    return [
        write(tmp_path / "a.txt", "one", "", "three\u2028four"),
        write(tmp_path / "empty.txt"),
        write(tmp_path / "b.txt.gz", *map(str, range(8))),
    ]


LINES = ["one", "", "three\u2028four", *map(str, range(8))]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 11, 13])
def test_shards_are_disjoint_and_all_lines_together(files, count):
    parts = [TextSource(files, shard=Shard(number + 1, count)) for number in range(count)]
    assert [line for part in parts for line in part.items()] == LINES
    sizes = [len(part.lines) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert all(
        list(part.items(done)) == list(part.items())[done:] for part in parts for done in (1, 2)
    )


def test_parallel_files_are_read_side_by_side(files, tmp_path):
    target = write(tmp_path / "target.txt", *map(str.upper, LINES))
    source = TextSource(files, [target], shard=Shard(2, 2))
    assert list(source.items()) == [(line, line.upper()) for line in LINES[5:]]
    message = "a.txt and .*empty.txt and .* has 11 lines, .*b.txt.gz has 8: line n of one"
    with pytest.raises(ValueError, match=message):
        TextSource(files, files[2:])


def test_the_fingerprint_is_that_of_the_lines(files, tmp_path):
    here = TextSource(files).fingerprint
    copy = write(tmp_path / "elsewhere.gz", *LINES[:3])
    assert TextSource([copy, *files[1:]]).fingerprint == here
    write(copy, *LINES[:2], "three four")
    assert TextSource([copy, *files[1:]]).fingerprint != here
    assert TextSource(files[::-1]).fingerprint != here


@pytest.mark.parametrize(
    "change",
    [
        lambda path: write(path, "one", "", "three\u2028four", "more"),
        lambda path: os.utime(path, ns=(7, 7)),
        lambda path: os.replace(write(path.with_name("new"), "one"), path),
        lambda path: path.unlink(),
    ],
    ids=["longer", "touched", "replaced", "deleted"],
)
def test_a_file_that_changes_is_noticed(files, change):
    source = TextSource(files)
    source.check_unchanged()
    change(files[0])
    with pytest.raises(ValueError, match=r"a\.txt was changed while it was read\. What is"):
        source.check_unchanged()


@pytest.mark.parametrize("text", ["", "2", "0/3", "4/3", "-1/3", "1/0", "1/2/3", "a/b", "1 / 2"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ValueError, match=r"from 1/4 to 4/4 for four\. Received: "):
        Shard.parse(text)
    assert Shard.parse("2/4") == (2, 4)
