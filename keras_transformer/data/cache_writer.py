"""Writer of the files of a token cache."""

from dataclasses import asdict
from itertools import chain
from pathlib import Path

import numpy as np

from keras_transformer.data.corpora import Corpus, JoinedCorpora
from keras_transformer.data.deduplication import HashSet
from keras_transformer.data.filters import FilterReport, PairFilter
from keras_transformer.text import TokenizerProtocol


def write_cache(
    corpus: Corpus,
    source_tokenizer: TokenizerProtocol,
    target_tokenizer: TokenizerProtocol,
    filters: PairFilter,
    folder: Path,
    chunk_size: int,
) -> dict:
    """Writes the ids and offsets of both sides to an empty folder, chunk by chunk.

    Returns:
        The contents of `cache.json`: the filter report, of several corpora also that of each, and
        the metadata of each side.

    Raises:
        ValueError: The filter keeps no pair, or the corpus cannot be read.
        OSError: A file could not be written.
    """
    corpora = corpus.corpora if isinstance(corpus, JoinedCorpora) else (corpus,)
    reports = [FilterReport() for _ in corpora]
    sides = [
        _SideWriter(folder, "source", source_tokenizer, with_bos=False),
        _SideWriter(folder, "target", target_tokenizer, with_bos=True),
    ]
    tokenize = source_tokenizer.tokenize, target_tokenizer.tokenize
    seen = HashSet()
    for part, report in zip(corpora, reports, strict=True):
        for chunk in filters.tokenized(part, *tokenize, report, chunk_size, seen):
            for side, sentences in zip(sides, chunk, strict=True):
                side.write(sentences)
    report = FilterReport.sum(reports)
    if not report.kept:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in report.left_out.items())
        raise ValueError(
            f"No pair is left of {report.read} lines ({reasons or 'none read'}). "
            "Check the corpus and the filter."
        )
    several = {"corpora": list(map(asdict, reports))} if len(reports) > 1 else {}
    return {"report": asdict(report), **several, **{side.name: side.metadata() for side in sides}}


class _SideWriter:
    """Writer that appends the sentences of one side to its ids and offsets files."""

    def __init__(self, folder: Path, name: str, tokenizer: TokenizerProtocol, with_bos: bool):
        self.name = name
        self.tokenizer = tokenizer
        self.with_bos = with_bos
        self.dtype = np.dtype("uint16" if tokenizer.vocabulary_size() < 65536 else "int32")
        self.tokens = 0
        self._ids_path = folder / f"{name}.ids"
        self._offsets_path = folder / f"{name}.offsets"
        _append(self._offsets_path, np.zeros(1, np.int64))

    def write(self, sentences: list[list[int]]) -> None:
        lengths = np.array([len(ids) for ids in sentences], np.int64)
        if not len(lengths):
            return
        flat = np.fromiter(chain.from_iterable(sentences), np.int64, lengths.sum())
        self._check_range(flat)
        ends = np.cumsum(lengths + 1 + self.with_bos)
        ids = np.full(ends[-1], self.tokenizer.eos_id, self.dtype)
        is_text = np.ones(len(ids), bool)
        is_text[ends - 1] = False
        if self.with_bos:
            starts = ends - lengths - 2
            is_text[starts] = False
            ids[starts] = self.tokenizer.bos_id
        ids[is_text] = flat
        _append(self._ids_path, ids)
        _append(self._offsets_path, ends + self.tokens)
        self.tokens += len(ids)

    def _check_range(self, ids: np.ndarray) -> None:
        size = self.tokenizer.vocabulary_size()
        if not 0 <= ids.min() <= ids.max() < size:
            raise ValueError(
                f"The {self.name} tokenizer must return ids between 0 and {size - 1}. Received: "
                f"ids between {ids.min()} and {ids.max()}"
            )

    def metadata(self) -> dict:
        return {
            "dtype": self.dtype.name,
            "tokens": self.tokens,
            "pad_id": self.tokenizer.pad_id,
            "vocabulary_size": self.tokenizer.vocabulary_size(),
        }


def _append(path: Path, array: np.ndarray) -> None:
    try:
        with open(path, "ab") as file:
            file.write(array.data)  # `tofile` does not report why it fails
    except OSError as error:
        raise OSError(
            f"{path} could not be written: {error.strerror}. Free disk space, or choose another "
            "folder."
        ) from error
