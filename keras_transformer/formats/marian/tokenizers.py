"""The tokenizers of a Marian checkpoint: one for each language, with one table or two."""

from pathlib import Path

from keras_transformer.formats.marian.config import read_json
from keras_transformer.text import MarianTokenizer

VOCABULARY, TARGET_VOCABULARY = "vocab.json", "target_vocab.json"
UNKNOWN = "<unk>"


def read_tokenizers(folder: Path, special_ids: dict[str, int]) -> list[MarianTokenizer]:
    """The tokenizers of source and target.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or does not fit the others.
    """
    target = TARGET_VOCABULARY if (folder / TARGET_VOCABULARY).is_file() else VOCABULARY
    return [
        _read_tokenizer(folder / pieces, folder / table, special_ids)
        for pieces, table in (("source.spm", VOCABULARY), ("target.spm", target))
    ]


def _read_tokenizer(pieces: Path, table: Path, special_ids: dict[str, int]) -> MarianTokenizer:
    for path in (pieces, table):
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no {path}. A Marian checkpoint has the files that "
                "`MarianTokenizer.save_pretrained` writes: copy them too."
            )
    ids = read_json(table)
    tokens = dict(zip(ids.values(), ids, strict=True)) if _are_whole(ids) else {}
    if UNKNOWN not in ids or sorted(tokens) != list(range(len(ids))):
        raise ValueError(
            f"{table} must give its {len(ids)} tokens, {UNKNOWN} among them, the ids 0 to "
            f"{len(ids) - 1}. It does not: it is damaged or something else. Copy it again."
        )
    in_order = [tokens[id] for id in range(len(tokens))]
    try:
        return MarianTokenizer(pieces.read_bytes(), in_order, **special_ids, unk_id=ids[UNKNOWN])
    except ValueError as error:
        raise ValueError(f"{pieces} and {table.name} are no tokenizer. {error}") from error


def _are_whole(ids: dict) -> bool:
    return all(isinstance(id, int) and not isinstance(id, bool) for id in ids.values())
