"""Vocabularies of a Marian release: YAML files of pieces and ids, or SentencePiece models."""

from pathlib import Path

from keras_transformer.formats.marian.yaml_files import read_mapping
from keras_transformer.text import MarianTokenizer
from keras_transformer.text.tokenizer import load_processor

SENTENCEPIECE = ("source.spm", "target.spm")
END, UNKNOWN, PADDING = "</s>", "<unk>", "<pad>"


def read_vocabularies(
    folder: Path, names: list[str], sizes: tuple[int, int]
) -> list[MarianTokenizer]:
    """Reads the tokenizers of source and target.

    Both get the same number of ids, padding, which Marian does not have, last; ids that only fill
    up the smaller vocabulary are never probable.

    Args:
        folder: Folder of the release.
        names: File names of the vocabularies of source and target.
        sizes: Number of ids of source and target in the model.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or does not match the model.
    """
    tokenizers = []
    for name, pieces, size in zip(names, SENTENCEPIECE, sizes, strict=True):
        path = folder / name
        model = path if path.suffix == ".spm" else folder / pieces
        _check_files(path, model)
        tokens = _spm_tokens(path) if path.suffix == ".spm" else _yaml_tokens(path)
        _check_tokens(tokens, size, path)
        tokenizers.append(_tokenizer(model, tokens, max(sizes), path))
    return tokenizers


def _check_files(vocabulary: Path, model: Path) -> None:
    for path in (vocabulary, model):
        if not path.is_file():
            bpe = model.with_suffix(".bpe")
            reason = f" {bpe.name}, of subword-nmt, cannot be used." if bpe.is_file() else ""
            raise FileNotFoundError(
                f"There is no {path}: copy the whole release, with the vocabularies that "
                f"decoder.yml names, source.spm and target.spm.{reason}"
            )


def _yaml_tokens(path: Path) -> list[str]:
    """Reads the tokens in the order of their ids."""
    mapping = read_mapping(path.read_bytes(), str(path), strings=True)
    tokens = {int(id): token for token, id in mapping.items() if str(id).isdecimal()}
    if sorted(tokens) != list(range(len(mapping))):
        raise ValueError(
            f"{path} must give its {len(mapping)} tokens the ids 0 to {len(mapping) - 1}, but does "
            "not: it is damaged or another file. Copy it again."
        )
    return [tokens[id] for id in range(len(tokens))]


def _spm_tokens(path: Path) -> list[str]:
    try:
        processor = load_processor(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not a vocabulary. {error}") from error
    return [processor.id_to_piece(id) for id in range(processor.vocab_size())]


def _check_tokens(tokens: list[str], size: int, path: Path) -> None:
    for token in (END, UNKNOWN):
        if token not in tokens:
            raise ValueError(
                f"{path} lacks the token {token}, so it is not a vocabulary of Marian: it is "
                "damaged or another file. Copy it again."
            )
    if len(tokens) != size:
        raise ValueError(
            f"{path} does not match the model: it has {len(tokens)} tokens, and the model's "
            f"dim-vocabs {size}. Copy both again."
        )


def _tokenizer(model: Path, tokens: list[str], pad_id: int, path: Path) -> MarianTokenizer:
    fill = [f"<no piece {id}>" for id in range(len(tokens), pad_id)]
    ids = {"eos_id": tokens.index(END), "unk_id": tokens.index(UNKNOWN)}
    padding = PADDING if PADDING not in tokens else f"<no piece {pad_id}>"
    try:
        return MarianTokenizer(
            model.read_bytes(), [*tokens, *fill, padding], pad_id=pad_id, bos_id=pad_id, **ids
        )
    except ValueError as error:
        raise ValueError(f"{model} and {path.name} are not a tokenizer. {error}") from error
