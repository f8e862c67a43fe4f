"""Tokenizers of a Marian checkpoint: one for each language, with a shared or two vocabularies."""

from pathlib import Path

from keras_transformer.formats.marian.config import CONFIG, read_json
from keras_transformer.text import MarianTokenizer

VOCABULARY, TARGET_VOCABULARY = "vocab.json", "target_vocab.json"
UNKNOWN, EOS = "<unk>", "</s>"


def read_tokenizers(folder: Path, special_ids: dict[str, int]) -> list[MarianTokenizer]:
    """Reads the tokenizers of source and target.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or does not match the others.
    """
    target = TARGET_VOCABULARY if (folder / TARGET_VOCABULARY).is_file() else VOCABULARY
    return [
        _read_tokenizer(folder / model, folder / vocabulary, special_ids)
        for model, vocabulary in (("source.spm", VOCABULARY), ("target.spm", target))
    ]


def _read_tokenizer(model: Path, vocabulary: Path, special_ids: dict[str, int]) -> MarianTokenizer:
    """Reads a tokenizer from a SentencePiece model and a JSON file of tokens and ids."""
    for path in (model, vocabulary):
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no {path}. A Marian checkpoint has the files that "
                "`MarianTokenizer.save_pretrained` writes: copy them, too."
            )
    ids = read_json(vocabulary)
    tokens = dict(zip(ids.values(), ids, strict=True)) if _are_integers(ids.values()) else {}
    if UNKNOWN not in ids or sorted(tokens) != list(range(len(ids))):
        raise ValueError(
            f"{vocabulary} must give its {len(ids)} tokens, {UNKNOWN} among them, the ids 0 to "
            f"{len(ids) - 1}, but does not: it is damaged or another file. Copy it again."
        )
    if ids.get(EOS) != special_ids["eos_id"]:
        raise ValueError(
            f"{vocabulary} must give {EOS} the id {special_ids['eos_id']}, the eos_token_id of "
            f"{CONFIG}, but {f'gives it {ids[EOS]}' if EOS in ids else 'lacks it'}: translations "
            "would not end. It is damaged or of another checkpoint; copy it again."
        )
    ordered = [tokens[id] for id in range(len(tokens))]
    try:
        return MarianTokenizer(model.read_bytes(), ordered, **special_ids, unk_id=ids[UNKNOWN])
    except ValueError as error:
        raise ValueError(f"{model} and {vocabulary.name} are not a tokenizer. {error}") from error


def _are_integers(values) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)
