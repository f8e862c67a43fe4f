"""A toy language as text files, and options that make a run of seconds out of any recipe."""

import contextlib
import gzip
import random

import pytest

NUMBERS = {
    "one": "un", "two": "deux", "three": "trois", "four": "quatre", "five": "cinq",
    "six": "sis", "seven": "sept", "cat": "chat", "dog": "chien", "street": "rue",
}  # fmt: skip
TINY = ["--num-layers", "1", "--d-model", "16", "--num-heads", "2", "--d-ff", "24",
        "--tokens-per-batch", "257", "--max-shapes", "2", "--dropout-rate", "0"]  # fmt: skip


def once(*arguments):
    """The command line with the last value of each option alone, which may be given only once."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    return [text for option in options.items() for text in option]


def toy_pairs(count, seed=3):
    """Distinct pairs, translated word by word."""
    generator, pairs = random.Random(seed), {}
    while len(pairs) < count:
        words = generator.choices(list(NUMBERS), k=generator.randint(2, 7))
        pairs[" ".join(words)] = " ".join(NUMBERS[word] for word in words)
    return list(pairs.items())


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    """A folder with the same pairs as parallel files, plain and gzipped, and with tabs."""
    folder = tmp_path_factory.mktemp("texts")
    pairs = toy_pairs(211)
    for name, part in (("train", pairs[:193]), ("valid", pairs[193:])):
        for side, language in enumerate(("en", "fr")):
            text = "".join(f"{pair[side]}\n" for pair in part).encode()
            (folder / f"{name}.{language}").write_bytes(text)
            (folder / f"{name}.{language}.gz").write_bytes(gzip.compress(text))
        (folder / f"{name}.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in part))
    return folder


@pytest.fixture
def at(texts):
    """The folder with the texts, where the test is run."""
    with contextlib.chdir(texts):
        yield texts
