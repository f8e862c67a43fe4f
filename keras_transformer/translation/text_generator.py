"""Continuation and scoring of strings by a language model."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from keras_transformer.decoding.beam_search import BeamSearch
from keras_transformer.decoding.token_sampling import Sampling
from keras_transformer.forking import refuse_after_fork, refused_after_fork
from keras_transformer.models import LanguageModel
from keras_transformer.translation.compilation import compiled
from keras_transformer.translation.generator import ContinuationGenerator, Request
from keras_transformer.translation.results import Hypothesis, Score
from keras_transformer.translation.scoring import score_labels
from keras_transformer.translation.streaming import BUFFER, stream_answers
from keras_transformer.translation.validation import (
    as_integer,
    as_iterator,
    as_strings,
    check_limits,
    check_positions,
    check_sampling,
    check_vocabularies,
)

MAX_LENGTH = 64  # tokens of a continuation, unless it is said


@dataclasses.dataclass(frozen=True)
class Generation:
    """A prompt, continued by a language model.

    Attributes:
        text: The best text, which starts with the prompt.
        score: Its score: the log-probability of the continuation, divided by the length penalty;
            -inf if the search options allowed no continuation.
        finished: Whether the model ended the text with EOS. If `False`, the length limit ended it.
        hypotheses: All texts, best first: `top_beams`, or fewer if the search found fewer.
            Log-probabilities and tokens are those of the continuation alone, EOS included.
        prompt_tokens: The tokens of the prompt.
    """

    text: str
    score: float
    finished: bool
    hypotheses: tuple[Hypothesis, ...]
    prompt_tokens: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class TextMeasures:
    """How well a language model predicts texts.

    Attributes:
        log_prob: Sum of the log-probabilities of all tokens, EOS included.
        tokens: Number of tokens, EOS included.
        characters: Number of characters (code points), and one more for the end of each text.

    Example: A model that gives each of 12 tokens the probability 1/8.

    >>> measures = TextMeasures(log_prob=-12 * math.log(8), tokens=12, characters=18)
    >>> round(measures.perplexity, 6), round(measures.bits_per_character, 6)
    (8.0, 2.0)
    """

    log_prob: float
    tokens: int
    characters: int

    @property
    def perplexity(self) -> float:
        """The exponential of the mean negative log-probability of a token; NaN without text."""
        return math.exp(-self.log_prob / self.tokens) if self.tokens else math.nan

    @property
    def bits_per_character(self) -> float:
        """The negative log-probability to base 2, divided by the characters; NaN without text."""
        return -self.log_prob / math.log(2) / self.characters if self.characters else math.nan


class TextGenerator:
    """A trained language model with its tokenizer, to continue and to score texts.

    Args:
        model: A `LanguageModel`.
        tokenizer: `Tokenizer`, or another object with the methods of
            `keras_transformer.text.TokenizerProtocol`.
        trained_length: Maximum number of tokens of a text that the model was trained on, EOS
            included. Longer texts are scored in pieces of this length.
        about: Dict of metadata to save in `run.json`, such as the seed.

    Raises:
        ValueError: If the model is not a `LanguageModel`, model and tokenizer do not fit together,
            or `trained_length` is less than 2 or more than the learned positions of the model.
    """

    def __init__(self, model, tokenizer, trained_length: int = 256, about=None):
        refuse_after_fork()
        if not isinstance(model, LanguageModel):
            raise ValueError(
                "`model` of a TextGenerator must be a LanguageModel; one with an encoder goes into "
                f"a Translator. Received: {type(model).__name__}"
            )
        self.model, self.tokenizer = model, tokenizer
        self.trained_length = as_integer("trained_length", trained_length)
        self.about = dict(about or {})
        check_vocabularies(model, tokenizer, tokenizer)
        if trained_length < 2:
            raise ValueError(
                f"`trained_length` must be at least 2, a token and EOS. Received: {trained_length}"
            )
        check_positions(model, trained_length, "Lower `trained_length` (--max-length).")
        if not model.built:
            model.build()
        self._generator = ContinuationGenerator(model, tokenizer.bos_id, tokenizer.eos_id)
        self._log_probs = compiled(lambda *rows: score_labels(model, *rows), model)

    @property
    def target_tokenizer(self):
        """The tokenizer, by the name that it has in `Translator`."""
        return self.tokenizer

    def run_settings(self) -> dict:
        """Returns what `run.json` says beside the model and the tokenizers."""
        return {"kind": "language_model", "trained_length": self.trained_length}

    @refused_after_fork
    def generate(
        self,
        prompts: Iterable[str],
        beam_size: int = 4,
        top_beams: int = 1,
        length_penalty: float = 0.6,
        *,
        max_length: int = MAX_LENGTH,
        min_length: int = 0,
        no_repeat_ngram_size: int = 0,
        sampling: Sampling | None = None,
        start: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Generation]:
        """Continues texts by beam search or sampling.

        A prompt is tokenized as it stands, so it should end where a word ends; "" asks for a text
        from its beginning. The results have the order of the prompts, and do not depend on the
        other prompts. As in `Translator.translate`, a search is compiled once for every new
        combination of options and batch shape.

        Args:
            prompts: Texts to continue.
            beam_size: Number of live beams of the search; 1 means greedy search.
            top_beams: Number of hypotheses per prompt, at most `beam_size`.
            length_penalty: Strength of the length penalty; 0 ranks hypotheses by log-probability.
            max_length: Maximum number of tokens after the prompt, EOS included.
            min_length: Minimum number of tokens after the prompt, EOS included.
            no_repeat_ngram_size: Integer n. No n-gram of tokens may occur twice in a continuation;
                0 allows repetition.
            sampling: Options to draw `top_beams` continuations at random. `beam_size` is then
                ignored. `None` means beam search.
            start: Number of prompts before the first one, if several calls continue the parts of a
                corpus. The random numbers of sampling depend on a prompt's number.
            progress: Function that is called after each batch, with the number of finished prompts
                and the number of all prompts.

        Returns:
            One `Generation` per prompt.

        Raises:
            ValueError: If a number is out of range, or the model has too few learned positions.
            TypeError: If `prompts` is not a list of strings, `sampling` is not a `Sampling`, or a
                number is not an integer where one is expected.
        """
        prompts = as_strings("prompts", prompts)
        settings = {
            "beam_size": as_integer("beam_size", beam_size),
            "top_beams": as_integer("top_beams", top_beams),
            "length_penalty": length_penalty,
            "no_repeat_ngram_size": as_integer("no_repeat_ngram_size", no_repeat_ngram_size),
        }
        if sampling is not None:
            check_sampling(sampling)
            settings["beam_size"] = max(beam_size, top_beams)
        BeamSearch(length=1, bos_id=1, eos_id=2, **settings)  # validates the settings
        check_limits(as_integer("max_length", max_length), min_length)
        seed = as_integer("seed", sampling.seed) if sampling else 0
        requests = [
            Request(
                source=[self.tokenizer.bos_id, *ids],
                max_length=max_length,
                min_length=min_length,
                seed=(seed * 1_000_003 + index * 4099) % 2**31,
            )
            for index, ids in enumerate(self._tokenize(prompts), as_integer("start", start))
        ]
        longest = max((len(request.source) for request in requests), default=0)
        check_positions(
            self.model, longest - 1 + max_length, "Give shorter prompts or a lower `max_length`."
        )
        report = progress or (lambda done, total: None)
        results = self._generator.search(
            requests, lambda done: report(done, len(requests)), sampling, **settings
        )
        return [
            self._generation(request.source[1:], sequences)
            for request, sequences in zip(requests, results, strict=True)
        ]

    @refused_after_fork
    def stream(
        self, prompts: Iterable[str], *, buffer: int = BUFFER, start: int = 0, **options
    ) -> Iterator[Generation]:
        """Continues texts as they come, in order, for inputs of any length.

        A thread reads ahead. Prompts that are ready are continued together, sorted into batches; a
        prompt that comes alone is continued at once. See `Translator.stream`.

        Args:
            prompts: Iterable of texts to continue, which may block.
            buffer: Number of prompts to read ahead at most.
            start: Number of prompts before the first one; see `generate`.
            **options: The other options of `generate`, by name.

        Returns:
            An iterator of one `Generation` per prompt.

        Raises:
            ValueError, TypeError: As `generate`. What is wrong with a prompt is raised after the
                results of the prompts before it; the message has its number.
        """
        prompts = as_iterator("prompts", prompts)
        self.generate([], start=start, **options)  # validates the options

        def answer(group, start):
            return self.generate(group, start=start, **options)

        return stream_answers(prompts, answer, buffer, start)

    @refused_after_fork
    def stream_scores(self, texts: Iterable[str], *, buffer: int = BUFFER) -> Iterator[Score]:
        """Scores texts as they come, in order; see `score` and `stream`."""
        return stream_answers(
            as_iterator("texts", texts), lambda group, start: self.score(group), buffer
        )

    @refused_after_fork
    def score(self, texts: Iterable[str]) -> list[Score]:
        """Scores texts by the log-probabilities of their tokens, from the beginning to EOS.

        A text of more than `trained_length` tokens is scored in pieces, as it is trained on: the
        first token of a piece is predicted from the token before it, and each other token from its
        piece.

        Args:
            texts: Texts.

        Returns:
            One `Score` per text.

        Raises:
            TypeError: If `texts` is not a list of strings.
        """
        texts = as_strings("texts", texts)
        rows = [[*ids, self.tokenizer.eos_id] for ids in self._tokenize(texts)]
        pieces = [
            (number, [self.tokenizer.bos_id, *ids][start : start + len(piece)], piece)
            for number, ids in enumerate(rows)
            for start in range(0, len(ids), self.trained_length)
            for piece in [ids[start : start + self.trained_length]]
        ]
        inputs, labels = [piece[1] for piece in pieces], [piece[2] for piece in pieces]
        log_probs = [[] for _ in rows]
        results = self._generator.run_on_pairs(self._log_probs, inputs, labels)
        for (number, _, piece), result in zip(pieces, results, strict=True):
            log_probs[number] += result[: len(piece)].tolist()
        return [
            Score(sum(of_text), tuple(of_text), self._tokens(ids))
            for of_text, ids in zip(log_probs, rows, strict=True)
        ]

    def measure(self, texts: Iterable[str]) -> TextMeasures:
        """Returns perplexity and bits per character of texts; see `score`."""
        texts = as_strings("texts", texts)
        scores = self.score(texts)
        return TextMeasures(
            sum(score.log_prob for score in scores),
            sum(len(score.tokens) for score in scores),
            sum(len(text) + 1 for text in texts),
        )

    def _generation(self, prompt: list[int], sequences) -> Generation:
        size, unk_id = self.tokenizer.vocabulary_size(), self.tokenizer.unk_id
        ids = [[id if id < size else unk_id for id in sequence.ids] for sequence in sequences]
        texts = self.tokenizer.detokenize([[*prompt, *row] for row in ids]) if ids else []
        hypotheses = tuple(
            Hypothesis(text, found.score, found.log_prob, found.finished, self._tokens(row))
            for text, row, found in zip(texts, ids, sequences, strict=True)
        )
        nothing = Hypothesis("", -math.inf, -math.inf, finished=False)
        best = hypotheses[0] if hypotheses else nothing
        return Generation(best.text, best.score, best.finished, hypotheses, self._tokens(prompt))

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer.tokenize(texts) if texts else []

    def _tokens(self, ids: list[int]) -> tuple[str, ...]:
        return tuple(self.tokenizer.id_to_token(id) for id in ids)

    @refused_after_fork
    def save(self, folder: str | Path) -> None:
        """Saves model and tokenizer to a run folder, as `Translator.save`."""
        from keras_transformer.translation.run_folder import save_run

        save_run(self, folder)

    @classmethod
    @refused_after_fork
    def load(cls, folder: str | Path) -> "TextGenerator":
        """Loads a language model from a run folder, written by `save` or by a trainer.

        Args:
            folder: Path of the run folder, or its URL, from which the files are fetched.

        Raises:
            RemoteError: If the URL cannot be read.
            RunError: If the folder is missing, incomplete or damaged, or holds a translator.
            ValueError: If its model and tokenizer do not fit together.
        """
        from keras_transformer.io import fetched_folder
        from keras_transformer.translation.run_folder import FILES, load_run

        with fetched_folder(folder, FILES) as local:
            return cls(**load_run(local, "language_model"))
