"""An on-disk cache of token ids: tokenized once, memory-mapped for random access."""

import functools
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from keras_transformer.data.cache_writer import write_cache
from keras_transformer.data.corpora import Corpus
from keras_transformer.data.filters import FilterReport, PairFilter
from keras_transformer.io import atomic_folder, local_path
from keras_transformer.text import TokenizerProtocol

FORMAT = 1
KEYS = {"format", "fingerprint", "report", "source", "target"}  # of cache.json
FILES = ("cache.json", "source.ids", "source.offsets", "target.ids", "target.offsets")


class TokenCache:
    """The token ids of a corpus, memory-mapped from a folder.

    `TokenCache.build` creates a cache; the constructor opens an existing one. Pair n is
    `cache.source(n)`, ids that end with EOS, and `cache.target(n)`, ids that start with BOS and end
    with EOS. The folder contains `cache.json` and, for each side, `*.ids` (all ids concatenated,
    uint16 for vocabularies below 65,536, else int32) and `*.offsets` (int64, the start of each
    pair).

    Args:
        folder: Folder of the cache.

    Attributes:
        source_ids: All source ids, concatenated and memory-mapped.
        source_offsets: int64, shape `(pairs + 1,)`: pair n is at `offsets[n]:offsets[n + 1]`.
        target_ids: All target ids, concatenated and memory-mapped.
        target_offsets: Same as `source_offsets`, for the target.
        source_pad_id: Padding id of source rows.
        target_pad_id: Padding id of target rows.
        id_limits: Vocabulary sizes of `"source"`, `"target"` and `"labels"`, as a dict.
        fingerprint: String that changes when the pairs, the tokenizers or the filter change.
        report: The `FilterReport` of the build.
        reports: The reports of the corpora, in their order; `(report,)` for one corpus.

    Raises:
        FileNotFoundError: There is no cache in `folder`.
        ValueError: The cache is damaged or has another format version.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = local_path(folder, "A token cache")
        metadata = self._read_metadata()
        self.fingerprint: str = metadata["fingerprint"]
        self.report = FilterReport(**metadata["report"])
        corpora = metadata.get("corpora", [metadata["report"]])
        self.reports = tuple(FilterReport(**report) for report in corpora)
        source, target = (metadata[side].get("vocabulary_size") for side in ("source", "target"))
        self.id_limits = {"source": source, "target": target, "labels": target}
        self.source_pad_id: int = metadata["source"]["pad_id"]
        self.target_pad_id: int = metadata["target"]["pad_id"]
        self.source_ids, self.source_offsets = self._open_side("source", metadata)
        self.target_ids, self.target_offsets = self._open_side("target", metadata)

    def _read_metadata(self) -> dict:
        path = self.folder / "cache.json"
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no token cache in {self.folder}. Create one with `TokenCache.build`."
            )
        try:
            metadata = json.loads(path.read_text("utf-8"))
            version = metadata["format"]
            is_valid = version != FORMAT or metadata.keys() >= KEYS
        except (ValueError, KeyError, TypeError):
            is_valid = False
        if not is_valid:
            raise ValueError(f"{path} is damaged. Delete {self.folder} and build the cache again.")
        if version != FORMAT:
            raise ValueError(
                f"{path} has format {version}, expected {FORMAT}. Delete {self.folder} and build "
                "the cache again."
            )
        return metadata

    def _open_side(self, side: str, metadata: dict) -> tuple[np.ndarray, np.ndarray]:
        ids_dtype = np.dtype({"uint16": "uint16", "int32": "int32"}[metadata[side]["dtype"]])
        files = {
            "ids": (ids_dtype, metadata[side]["tokens"]),
            "offsets": (np.dtype("int64"), len(self) + 1),
        }
        arrays = []
        for name, (dtype, size) in files.items():
            path = self.folder / f"{side}.{name}"
            found = path.stat().st_size if path.is_file() else 0
            if found != size * dtype.itemsize:
                raise ValueError(
                    f"{path} has {found} bytes, expected {size * dtype.itemsize}. The cache is "
                    f"damaged: delete {self.folder} and build it again."
                )
            arrays.append(np.memmap(path, dtype, mode="r"))
        return arrays[0], arrays[1]

    def __len__(self) -> int:
        return self.report.kept

    def source(self, pair: int) -> np.ndarray:
        """Returns the ids of a source sentence, with EOS at the end."""
        return self.source_ids[self.source_offsets[pair] : self.source_offsets[pair + 1]]

    def target(self, pair: int) -> np.ndarray:
        """Returns the ids of a target sentence, with BOS at the start and EOS at the end."""
        return self.target_ids[self.target_offsets[pair] : self.target_offsets[pair + 1]]

    @functools.cached_property
    def source_lengths(self) -> np.ndarray:
        """Encoder positions of each pair: ids and EOS. int32, shape `(pairs,)`."""
        return np.diff(self.source_offsets).astype(np.int32)

    @functools.cached_property
    def target_lengths(self) -> np.ndarray:
        """Decoder positions of each pair: BOS and ids, or ids and EOS. int32, `(pairs,)`."""
        return np.diff(self.target_offsets).astype(np.int32) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Source and target lengths, int32, shape `(pairs, 2)`."""
        return np.stack([self.source_lengths, self.target_lengths], axis=1)

    @classmethod
    def build(
        cls,
        corpus: Corpus,
        tokenizer: TokenizerProtocol,
        folder: str | os.PathLike,
        filters: PairFilter | None = None,
        target_tokenizer: TokenizerProtocol | None = None,
        chunk_size: int = 100_000,
    ) -> "TokenCache":
        """Tokenizes a corpus into `folder`, or opens the cache there if it is up to date.

        The folder is written atomically. A cache of other pairs, tokenizers or filters is replaced.
        Memory holds one chunk of lines.

        Args:
            corpus: The corpus.
            tokenizer: Tokenizer of both sides, or of the source.
            folder: Folder of the cache.
            filters: The `PairFilter` to apply; `PairFilter()` by default.
            target_tokenizer: Tokenizer of the target, if it is a different one.
            chunk_size: Number of lines tokenized in one call.

        Raises:
            FileExistsError: `folder` is a file or contains other files than those of a cache.
            ValueError: The filter keeps no pair, or the corpus cannot be read.
            OSError: A file could not be written, or another process writes this cache.
        """
        filters = filters or PairFilter()
        tokenizers = [tokenizer, target_tokenizer or tokenizer]
        folder = local_path(folder, "A token cache")
        fingerprint = _fingerprint(corpus, tokenizers, filters)
        if cls._is_current(folder, fingerprint):
            return cls(folder)
        is_ours, purpose = (lambda _: True), "tokenizing"  # `_is_current` checked the contents
        with atomic_folder(folder, is_ours, purpose) as new:
            metadata = write_cache(corpus, *tokenizers, filters, new, chunk_size)
            metadata = {"format": FORMAT, "fingerprint": fingerprint, **metadata}
            (new / "cache.json").write_text(json.dumps(metadata, indent=1), "utf-8")
        return cls(folder)

    @classmethod
    def _is_current(cls, folder: Path, fingerprint: str) -> bool:
        """Returns whether `folder` contains the cache with this fingerprint.

        Raises:
            FileExistsError: `folder` is a file or contains other files than those of a cache.
        """
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        if not set(names) <= set(FILES) or (folder.exists() and not folder.is_dir()):
            raise FileExistsError(
                f"{folder} is not a token cache. Choose another folder: one that does not exist, "
                "is empty or holds a cache."
            )
        try:
            return cls(folder).fingerprint == fingerprint
        except (FileNotFoundError, ValueError):
            return False  # missing, damaged or of another version


def _fingerprint(corpus: Corpus, tokenizers: list[TokenizerProtocol], filters: PairFilter) -> str:
    """Returns the SHA-256 hash of everything that determines the contents of a cache."""
    parts = {
        "format": FORMAT,
        "corpus": corpus.fingerprint(),
        "tokenizers": [tokenizer.fingerprint for tokenizer in tokenizers],
        "filters": asdict(filters),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
