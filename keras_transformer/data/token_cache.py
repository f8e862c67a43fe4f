"""A corpus as ids on disk: tokenized once, read at random ever after."""

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
from keras_transformer.io import atomic_folder
from keras_transformer.text import TokenizerProtocol

FORMAT = 1
KEYS = {"format", "fingerprint", "report", "source", "target"}  # of cache.json
FILES = ("cache.json", "source.ids", "source.offsets", "target.ids", "target.offsets")


class TokenCache:
    """The token ids of a corpus in a folder, memory-mapped.

    Make one with `TokenCache.build`; the constructor opens one that is there. Pair n is
    `cache.source(n)`, ids that end with EOS, and `cache.target(n)`, ids that start with BOS and end
    with EOS. A folder holds `cache.json` and, for each side, `*.ids` (all ids one after the other,
    uint16 for vocabularies below 65,536, else int32) and `*.offsets` (int64, where pairs start).

    Args:
        folder: The folder.

    Attributes:
        source_ids: All source ids, memory-mapped, flat.
        source_offsets: int64, shape `(pairs + 1,)`: pair n is at `offsets[n]:offsets[n + 1]`.
        target_ids: All target ids, memory-mapped, flat.
        target_offsets: As `source_offsets`.
        source_pad_id: Id that fills a source row.
        target_pad_id: Id that fills a target row.
        fingerprint: Text that changes when the pairs, the tokenizers or the filter do.
        report: The `FilterReport` of the build.

    Raises:
        FileNotFoundError: There is no cache in `folder`.
        ValueError: The cache is damaged or of another version.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        metadata = self._read_metadata()
        self.fingerprint: str = metadata["fingerprint"]
        self.report = FilterReport(**metadata["report"])
        self.source_pad_id: int = metadata["source"]["pad_id"]
        self.target_pad_id: int = metadata["target"]["pad_id"]
        self.source_ids, self.source_offsets = self._open_side("source", metadata)
        self.target_ids, self.target_offsets = self._open_side("target", metadata)

    def _read_metadata(self) -> dict:
        path = self.folder / "cache.json"
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no token cache in {self.folder}. Make one with `TokenCache.build`."
            )
        try:
            metadata = json.loads(path.read_text("utf-8"))
            found = metadata["format"]
            whole = found != FORMAT or metadata.keys() >= KEYS
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            raise ValueError(f"{path} is damaged. Delete {self.folder} and build again.")
        if found != FORMAT:
            raise ValueError(
                f"{path} has format {found}, expected {FORMAT}. Delete {self.folder} and build "
                "again."
            )
        return metadata

    def _open_side(self, side: str, metadata: dict) -> tuple[np.ndarray, np.ndarray]:
        dtype = np.dtype({"uint16": "uint16", "int32": "int32"}[metadata[side]["dtype"]])
        files = {
            "ids": (dtype, metadata[side]["tokens"]),
            "offsets": (np.dtype("int64"), len(self) + 1),
        }
        arrays = []
        for name, (kind, size) in files.items():
            path = self.folder / f"{side}.{name}"
            found = path.stat().st_size if path.is_file() else 0
            if found != size * kind.itemsize:
                raise ValueError(
                    f"{path} has {found} bytes, expected {size * kind.itemsize}. The cache is "
                    f"damaged: delete {self.folder} and build again."
                )
            arrays.append(np.memmap(path, kind, mode="r"))
        return arrays[0], arrays[1]

    def __len__(self) -> int:
        return self.report.kept

    def source(self, pair: int) -> np.ndarray:
        """Ids of a source sentence, EOS at the end."""
        return self.source_ids[self.source_offsets[pair] : self.source_offsets[pair + 1]]

    def target(self, pair: int) -> np.ndarray:
        """Ids of a target sentence, BOS at the start and EOS at the end."""
        return self.target_ids[self.target_offsets[pair] : self.target_offsets[pair + 1]]

    @functools.cached_property
    def source_lengths(self) -> np.ndarray:
        """Positions that the model sees of each source: ids and EOS. int32, shape `(pairs,)`."""
        return np.diff(self.source_offsets).astype(np.int32)

    @functools.cached_property
    def target_lengths(self) -> np.ndarray:
        """Positions that the model sees of each target: BOS and ids, or ids and EOS. int32."""
        return np.diff(self.target_offsets).astype(np.int32) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Source and target lengths side by side, int32, shape `(pairs, 2)`."""
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
        """Tokenize a corpus into `folder`, unless the same cache is there already.

        The folder appears when it is whole. A cache of other pairs, tokenizers or filters in its
        place is replaced. Memory holds one chunk of lines.

        Args:
            corpus: The pairs.
            tokenizer: For both sides, or for the source.
            folder: Where the cache is, or is to be.
            filters: Which pairs to leave out; `PairFilter()` by default.
            target_tokenizer: For the target, if it has its own.
            chunk_size: How many lines are tokenized in one call.

        Raises:
            FileExistsError: `folder` holds something that is no cache.
            ValueError: No pair is left, or the corpus cannot be read.
            OSError: A file could not be written.
        """
        filters = filters or PairFilter()
        tokenizers = [tokenizer, target_tokenizer or tokenizer]
        folder = Path(folder)
        fingerprint = _fingerprint(corpus, tokenizers, filters)
        if cls._holds(folder, fingerprint):
            return cls(folder)
        with atomic_folder(folder, lambda _: True) as new:  # `_holds` checked what it holds
            metadata = write_cache(corpus, *tokenizers, filters, new, chunk_size)
            metadata = {"format": FORMAT, "fingerprint": fingerprint, **metadata}
            (new / "cache.json").write_text(json.dumps(metadata, indent=1), "utf-8")
        return cls(folder)

    @classmethod
    def _holds(cls, folder: Path, fingerprint: str) -> bool:
        """Whether that very cache is in `folder`; raises if it holds what no cache holds."""
        inside = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        if not set(inside) <= set(FILES) or (folder.exists() and not folder.is_dir()):
            raise FileExistsError(
                f"{folder} is something else than a token cache. Name another folder: one that is "
                "empty, or does not exist, or holds a cache."
            )
        try:
            return cls(folder).fingerprint == fingerprint
        except (FileNotFoundError, ValueError):
            return False  # nothing yet, damaged, or of another version


def _fingerprint(corpus: Corpus, tokenizers: list[TokenizerProtocol], filters: PairFilter) -> str:
    parts = {
        "format": FORMAT,
        "corpus": corpus.fingerprint(),
        "tokenizers": [tokenizer.fingerprint for tokenizer in tokenizers],
        "filters": asdict(filters),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
