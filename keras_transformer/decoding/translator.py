"""Strings in, strings out."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from keras_transformer.decoding.compiled import compiled
from keras_transformer.decoding.generate import generate
from keras_transformer.decoding.pieces import split_long
from keras_transformer.decoding.shapes import make_batches, source_length

EXTRA_LENGTH = 50  # the paper's limit on the output: the input's length + 50, EOS included


@dataclasses.dataclass(frozen=True)
class Translation:
    """What a text was translated to.

    Attributes:
        text: The translation.
        score: Sum of its tokens' log-probabilities, EOS included; 0 for an empty text.
        finished: Whether the model ended it by itself, or the length limit did.
    """

    text: str
    score: float
    finished: bool = True


class Translator:
    """A trained model with its tokenizer: translates texts.

    Args:
        model: A `Transformer`.
        tokenizer: `Tokenizer`, or any object with its methods (`keras_transformer.text`).
        target_tokenizer: The same for the target; `None` if there is one vocabulary.
        max_source_length: Most source tokens the model has learnt to read, EOS included. Longer
            texts are translated in pieces.
        about: Facts to keep in the run folder's `run.json`, such as languages and the seed.
    """

    def __init__(
        self, model, tokenizer, target_tokenizer=None, max_source_length: int = 256, about=None
    ):
        self.model = model
        self.tokenizer = tokenizer
        self.target_tokenizer = target_tokenizer or tokenizer
        self.max_source_length = max_source_length
        self.about = dict(about or {})
        _check_vocabularies(model, tokenizer, self.target_tokenizer)
        _check_lengths(model, max_source_length)
        if not model.built:
            model.build()
        search = functools.partial(
            generate,
            model,
            bos_id=self.target_tokenizer.bos_id,
            eos_id=self.target_tokenizer.eos_id,
        )
        self._search = compiled(search, model)

    def translate(
        self, texts: Iterable[str], progress: Callable[[int, int], None] | None = None
    ) -> list[Translation]:
        """Translates each text with greedy search.

        Results come in the texts' order and do not depend on their company. An empty text has an
        empty translation; one longer than `max_source_length` tokens is cut between sentences
        (else words) and its pieces' translations are joined by spaces.

        Args:
            texts: The texts, one sentence or line each.
            progress: Called with how many pieces are done and how many there are.

        Returns:
            One `Translation` a text.
        """
        texts = texts if isinstance(texts, str) else list(texts)
        if isinstance(texts, str) or any(not isinstance(text, str) for text in texts):
            raise TypeError(
                f"`texts` must be a list of strings, one text each. Received: {texts!r:.80}"
            )
        pieces = [self.split(text) for text in texts]
        flat = [piece for of_text in pieces for piece in of_text]
        translated = iter(self._translate_pieces(flat, progress))
        return [_joined([next(translated) for _ in of_text]) for of_text in pieces]

    def split(self, text: str) -> list[str]:
        """The pieces that a text is translated in: itself, unless it is too long or empty."""
        if not text.strip() or not self.tokenizer.tokenize(text):
            return []
        limit = self.max_source_length - 1  # one place is EOS'
        return split_long(text, lambda piece: len(self.tokenizer.tokenize(piece)), limit)

    def _translate_pieces(self, pieces: list[str], progress) -> list[Translation]:
        eos = self.tokenizer.eos_id
        ids = [[*row, eos] for row in self.tokenizer.tokenize(pieces)] if pieces else []
        results: list[Translation | None] = [None] * len(pieces)
        done = 0
        for size, length, places in make_batches([len(row) for row in ids]):
            for place, result in zip(places, self._run(ids, size, length, places), strict=True):
                results[place] = result
            done += len(places)
            if progress is not None:
                progress(done, len(pieces))
        return results

    def _run(self, ids, size: int, length: int, places: list[int]) -> list[Translation]:
        """One batch of static shape; rows beyond `places` stay empty."""
        source = np.full((size, length), self.tokenizer.pad_id, "int32")
        max_lengths = np.zeros((size,), "int32")
        for row, place in enumerate(places):
            source[row, : len(ids[place])] = ids[place]
            max_lengths[row] = len(ids[place]) + EXTRA_LENGTH
        output, scores, finished = map(
            np.asarray, self._search(source, max_lengths, length=length + EXTRA_LENGTH)
        )
        rows = [row[:limit].tolist() for row, limit in zip(output, max_lengths, strict=True)]
        texts = self.target_tokenizer.detokenize(rows[: len(places)])
        return [
            Translation(text, float(score), bool(end))
            for text, score, end in zip(texts, scores, finished, strict=False)
        ]

    def save(self, folder: str | Path) -> None:
        """Writes the run folder that `load` reads: `run.json`, tokenizer and weights."""
        from keras_transformer.decoding.run_folder import save_run

        save_run(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> "Translator":
        """Reads a run folder, as written by `save` and by the trainers.

        Raises:
            RunError: The folder is missing, incomplete or damaged; the message says which.
        """
        from keras_transformer.decoding.run_folder import load_run

        return cls(**load_run(Path(folder)))


def _check_vocabularies(model, tokenizer, target_tokenizer) -> None:
    target_size = model.target_vocabulary_size or model.vocabulary_size
    for side, size, known in (
        ("source", model.vocabulary_size, tokenizer.vocabulary_size()),
        ("target", target_size, target_tokenizer.vocabulary_size()),
    ):
        if size < known:
            raise ValueError(
                f"The {side} tokenizer has {known} ids, but the model's {side} vocabulary has "
                f"{size}: use the tokenizer that the model was trained with."
            )

    pads = {model.pad_id, tokenizer.pad_id, target_tokenizer.pad_id}
    if len(pads) > 1:
        raise ValueError(
            "Model and tokenizers must pad with the same id, or padding would be read. Received: "
            f"model {model.pad_id}, source {tokenizer.pad_id}, target {target_tokenizer.pad_id}"
        )


def _check_lengths(model, max_source_length: int) -> None:
    if max_source_length < 2:
        raise ValueError(
            "`max_source_length` must be at least 2, a token and the end. "
            f"Received: {max_source_length}"
        )
    longest = source_length(max_source_length) + EXTRA_LENGTH
    if model.positions == "learned" and longest > model.max_length:
        raise ValueError(
            f"The model has learnt {model.max_length} positions, but sources of up to "
            f"{max_source_length} tokens need {longest}. Lower `max_source_length` (--max-length), "
            "or use sinusoids."
        )


def _joined(translations: list[Translation]) -> Translation:
    if len(translations) == 1:
        return translations[0]
    return Translation(
        text=" ".join(translation.text for translation in translations),
        score=sum((translation.score for translation in translations), 0.0),
        finished=all(translation.finished for translation in translations),
    )
