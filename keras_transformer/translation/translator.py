"""Strings in, strings out."""

from collections.abc import Callable, Iterable
from pathlib import Path

from keras_transformer.decoding.beam_search import BeamSearch
from keras_transformer.decoding.token_sampling import Sampling
from keras_transformer.text import MarianTokenizer
from keras_transformer.text.marian_tokenizer import split_code
from keras_transformer.translation.batch_shapes import EXTRA_LENGTH
from keras_transformer.translation.generator import GeneratedSequence, Request, SequenceGenerator
from keras_transformer.translation.results import (
    Hypothesis,
    Score,
    Translation,
    joined,
    translation,
)
from keras_transformer.translation.text_splitting import split_text
from keras_transformer.translation.validation import (
    check_lengths,
    check_limits,
    check_sampling,
    check_vocabularies,
    strings,
    whole,
)


class Translator:
    """A trained model with its tokenizer: translates texts.

    Args:
        model: A `Transformer`.
        tokenizer: `Tokenizer`, or any object with its methods (`keras_transformer.text`).
        target_tokenizer: The same for the target; `None` if there is one vocabulary.
        max_source_length: Most source tokens the model has learnt to read, EOS included. Longer
            texts are translated in pieces.
        about: Facts to keep in the run folder's `run.json`, such as languages and the seed.

    Raises:
        ValueError: Model and tokenizers do not go together, or `max_source_length` is less than 2
            or more than the model's learned positions allow.
    """

    def __init__(
        self, model, tokenizer, target_tokenizer=None, max_source_length: int = 256, about=None
    ):
        self.model = model
        self.tokenizer = tokenizer
        self.target_tokenizer = target_tokenizer or tokenizer
        self.max_source_length = max_source_length
        self.about = dict(about or {})
        check_vocabularies(model, tokenizer, self.target_tokenizer)
        check_lengths(model, max_source_length)
        if not model.built:
            model.build()
        self._generator = SequenceGenerator(
            model, self.target_tokenizer.bos_id, self.target_tokenizer.eos_id
        )

    def translate(
        self,
        texts: Iterable[str],
        beam_size: int = 4,
        top_beams: int = 1,
        length_penalty: float = 0.6,
        *,
        max_length: int | None = None,
        min_length: int = 0,
        prefixes: Iterable[str] | None = None,
        no_repeat_ngram_size: int = 0,
        sampling: Sampling | None = None,
        return_attention: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Translation]:
        """Translates each text with beam search.

        Results come in the texts' order and do not depend on their company. An empty text has an
        empty translation; one longer than `max_source_length` tokens is cut between sentences
        (else words) and its pieces' translations are joined by spaces; limits and rules then hold
        for each piece, and the prefix for the first.

        Every new combination of settings (lengths rounded up) and of a batch's shape is compiled
        once, which takes seconds and some 60 MB; the last 128 are kept. So a service does well to
        offer few settings. Several threads may translate at a time; a process that forks after the
        first translation must load its translator anew.

        Args:
            texts: The texts, one sentence or line each.
            beam_size: How many beginnings the search goes on with; 1 is greedy search.
            top_beams: How many hypotheses each text gets, at most `beam_size`.
            length_penalty: Strength of the length penalty; 0 compares log-probabilities.
            max_length: The most tokens of a translation, EOS included; `None` allows 50 more than
                the text has.
            min_length: The fewest tokens of a translation, as far as it may have so many.
            prefixes: What each translation must start with, a string a text.
            no_repeat_ngram_size: So many tokens in a row never occur twice; 0 allows it.
            sampling: Draws `top_beams` translations at random instead; `beam_size` plays no part.
            return_attention: Whether hypotheses tell their cross-attention.
            progress: Called with how many pieces are done and how many there are.

        Returns:
            One `Translation` a text.

        Raises:
            ValueError: A number makes no sense; there are not as many prefixes as texts, or one is
                too long; the model has learnt too few positions.
            TypeError: `texts` or `prefixes` is not a list of strings, `sampling` no `Sampling`, or
                a number not whole.
        """
        texts = strings("texts", texts)
        settings = {
            "beam_size": whole("beam_size", beam_size),
            "top_beams": whole("top_beams", top_beams),
            "length_penalty": length_penalty,
            "no_repeat_ngram_size": whole("no_repeat_ngram_size", no_repeat_ngram_size),
        }
        if sampling is not None:
            check_sampling(sampling)
            settings["beam_size"] = max(beam_size, top_beams)
        BeamSearch(length=1, bos_id=1, eos_id=2, **settings)  # refuses what makes no sense
        check_limits(max_length, min_length)
        prefixes = [""] * len(texts) if prefixes is None else strings("prefixes", prefixes)
        if len(prefixes) != len(texts):
            raise ValueError(
                "`prefixes` must have one string for each text, empty for none. "
                f"Received: {len(prefixes)} prefixes for {len(texts)} texts"
            )
        requests, counts = self._requests(texts, prefixes, max_length, min_length, sampling)
        tell = progress or (lambda done, total: None)
        found = self._generator.search(
            requests, lambda done: tell(done, len(requests)), sampling, **settings
        )
        translations = iter(self._read(requests, found, return_attention))
        return [joined([next(translations) for _ in range(count)]) for count in counts]

    def score(self, sources: Iterable[str], targets: Iterable[str]) -> list[Score]:
        """How probable given translations are.

        Nothing is cut: a long text is read whole, also beyond what the model has learnt to read.

        Args:
            sources: The texts.
            targets: A translation of each.

        Returns:
            One `Score` a pair: log-probabilities of the target's tokens, EOS included.

        Raises:
            ValueError: There are not as many targets as sources; the model has learnt too few
                positions.
            TypeError: `sources` or `targets` is not a list of strings.
        """
        sources, targets = strings("sources", sources), strings("targets", targets)
        if len(sources) != len(targets):
            raise ValueError(
                "`targets` must have one translation for each source. "
                f"Received: {len(targets)} targets for {len(sources)} sources"
            )
        rows = [
            [[*ids, tokenizer.eos_id] for ids in tokenizer.tokenize(texts)] if texts else []
            for tokenizer, texts in ((self.tokenizer, sources), (self.target_tokenizer, targets))
        ]
        self._check_positions(max((len(ids) for side in rows for ids in side), default=0))
        return [
            Score(sum(log_probs), tuple(log_probs), self._tokens(self.target_tokenizer, ids))
            for log_probs, ids in zip(self._generator.log_probs(*rows), rows[1], strict=True)
        ]

    def split(self, text: str) -> list[str]:
        """The pieces that a text is translated in: itself, unless it is too long or empty."""
        if not text.strip() or not self.tokenizer.tokenize(text):
            return []
        code, rest = [], text
        if isinstance(self.tokenizer, MarianTokenizer):
            code, rest = split_code(text)  # of the target language, which every piece must name

        def count(piece: str) -> int:
            return len(self.tokenizer.tokenize(piece))

        limit = self.max_source_length - 1 - len(code)  # one place is EOS'
        if count(rest) <= limit:
            return [text]
        pieces = split_text(rest.strip(), count, max(1, limit))
        return [" ".join([*code, piece]) for piece in pieces if count(piece)]

    def _requests(self, texts, prefixes, max_length, min_length, sampling):
        """What to search for, and how many pieces each text has."""
        requests, counts = [], []
        seed = whole("seed", sampling.seed) if sampling else 0
        tokenized = self.tokenizer.tokenize(texts) if texts else []
        for number, (text, ids, prefix) in enumerate(zip(texts, tokenized, prefixes, strict=True)):
            pieces = [ids] if ids and text.strip() else []
            if len(ids) >= self.max_source_length:
                pieces = self.tokenizer.tokenize(self.split(text))
            prefix_ids = self.target_tokenizer.tokenize(prefix) if prefix.strip() else []
            for place, piece in enumerate(pieces):
                request = Request(
                    source=[*piece, self.tokenizer.eos_id],
                    max_length=max_length or len(piece) + 1 + EXTRA_LENGTH,
                    min_length=min_length,
                    prefix=prefix_ids if place == 0 else [],
                    seed=(seed * 1_000_003 + number * 4099 + place) % 2**31,
                )
                _check_request(request, number)
                requests.append(request)
            counts.append(len(pieces))
        self._check_positions(max((request.max_length for request in requests), default=0))
        return requests, counts

    def _read(
        self, requests: list[Request], found: list[list[GeneratedSequence]], return_attention: bool
    ) -> list[Translation]:
        """Ids to texts."""
        flat = [
            (request, one) for request, some in zip(requests, found, strict=True) for one in some
        ]
        ids = [one.ids for _, one in flat]
        known = [self._known(one) for one in ids]
        texts = self.target_tokenizer.detokenize(known) if ids else []
        attention = [None] * len(flat)
        if return_attention:
            attention = self._generator.attention([request.source for request, _ in flat], ids)
        hypotheses = iter(
            Hypothesis(
                text,
                one.score,
                one.log_prob,
                one.finished,
                self._tokens(self.target_tokenizer, shown),
                scores,
            )
            for text, shown, (_, one), scores in zip(texts, known, flat, attention, strict=True)
        )
        return [
            translation(
                [next(hypotheses) for _ in some], self._tokens(self.tokenizer, request.source)
            )
            for request, some in zip(requests, found, strict=True)
        ]

    def _known(self, ids: list[int]) -> list[int]:
        """Ids of the target; a model may have more than its tokenizer knows."""
        size, unk_id = self.target_tokenizer.vocabulary_size(), self.target_tokenizer.unk_id
        return [id if id < size else unk_id for id in ids]

    def _tokens(self, tokenizer, ids: list[int]) -> tuple[str, ...]:
        return tuple(tokenizer.id_to_token(id) for id in ids)

    def _check_positions(self, longest: int) -> None:
        if self.model.positions == "learned" and longest > self.model.max_length:
            raise ValueError(
                f"The model has learnt {self.model.max_length} positions, but {longest} are "
                "needed. Give shorter texts, or `translate` a lower `max_length`."
            )

    def save(self, folder: str | Path) -> None:
        """Writes the run folder that `load` reads: `run.json`, tokenizer and weights.

        Raises:
            TypeError: A tokenizer is not one of the package's own.
        """
        from keras_transformer.translation.run_folder import save_run

        save_run(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> "Translator":
        """Reads a run folder, as written by `save` and by the trainers.

        Raises:
            RunError: The folder is missing, incomplete or damaged; the message says which.
            ValueError: Its model and its tokenizers do not go together.
        """
        from keras_transformer.translation.run_folder import load_run

        return cls(**load_run(Path(folder)))


def _check_request(request: Request, number: int) -> None:
    if len(request.prefix) >= request.max_length:
        raise ValueError(
            f"The prefix of text {number + 1} has {len(request.prefix)} tokens, but a translation "
            f"of it may have {request.max_length}, EOS included: shorten the prefix, or raise "
            "`max_length`."
        )
