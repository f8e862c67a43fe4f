"""Translation of strings to strings."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from keras_transformer.decoding.beam_search import BeamSearch
from keras_transformer.decoding.shortlist import SPECIALS
from keras_transformer.decoding.token_sampling import Sampling
from keras_transformer.forking import refuse_after_fork, refused_after_fork
from keras_transformer.models import LanguageModel
from keras_transformer.text.tags import split_tags
from keras_transformer.translation.batch_shapes import EXTRA_LENGTH
from keras_transformer.translation.engines import FLOAT32, KERAS, load_with_engine
from keras_transformer.translation.generator import GeneratedSequence, Request, SequenceGenerator
from keras_transformer.translation.preparation import compile_all, service_programs
from keras_transformer.translation.results import (
    Hypothesis,
    Score,
    Translation,
    join_parts,
    make_translation,
)
from keras_transformer.translation.streaming import BUFFER, stream_answers
from keras_transformer.translation.text_splitting import split_text
from keras_transformer.translation.validation import (
    as_integer,
    as_iterator,
    as_strings,
    check_lengths,
    check_limits,
    check_positions,
    check_sampling,
    check_shortlist,
    check_tags,
    check_vocabularies,
)


class Translator:
    """A trained model with its tokenizers, to translate texts and score translations.

    Args:
        model: A `Transformer`.
        tokenizer: `Tokenizer` of the source, or another object with the methods of
            `keras_transformer.text.TokenizerProtocol`.
        target_tokenizer: The same for the target. `None` means `tokenizer`, for a shared
            vocabulary.
        max_source_length: Maximum number of source tokens that the model was trained on, EOS
            included. Longer texts are translated in pieces.
        about: Dict of metadata to save in `run.json`, such as the languages and the seed.
        shortlist: `Shortlist`, with which beam search chooses among a few hundred tokens, likely
            translations of those of the text. It is faster and may find other translations.
            Samples and given translations have all tokens. `None` means all tokens everywhere.

    Raises:
        TypeError: If `shortlist` is no `Shortlist`.
        ValueError: If model, tokenizers and shortlist do not fit together, or `max_source_length`
            is less than 2 or more than the learned positions of the model allow.
    """

    def __init__(
        self,
        model,
        tokenizer,
        target_tokenizer=None,
        max_source_length: int = 256,
        about=None,
        shortlist=None,
    ):
        refuse_after_fork()
        self.tokenizer = tokenizer
        self.target_tokenizer = target_tokenizer or tokenizer
        self.max_source_length = max_source_length
        self.about = dict(about or {})
        self._shortlist = shortlist
        self.model = model

    @property
    def model(self):
        """The `Transformer`. Another one may be assigned if it fits the tokenizers."""
        return self._generator.model

    @model.setter
    def model(self, model):
        if isinstance(model, LanguageModel):
            raise ValueError(
                "`model` of a Translator must have an encoder; a LanguageModel goes into a "
                "TextGenerator. Received: LanguageModel"
            )
        check_vocabularies(model, self.tokenizer, self.target_tokenizer)
        check_lengths(model, self.max_source_length)
        check_shortlist(model, self._shortlist, self.tokenizer)
        if not model.built:
            model.build()
        self._generator = SequenceGenerator(
            model, self.target_tokenizer.bos_id, self.target_tokenizer.eos_id, self._shortlist
        )

    @property
    def shortlist(self):
        """The `Shortlist` of beam searches, or `None`. Another one may be assigned."""
        return self._shortlist

    @shortlist.setter
    def shortlist(self, shortlist):
        check_shortlist(self.model, shortlist, self.tokenizer)
        self._shortlist = shortlist
        self.model = self.model  # whose searches are compiled anew

    @refused_after_fork
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
        start: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Translation]:
        """Translates texts by beam search or sampling.

        The translations have the order of the texts, and the translation of a text does not depend
        on the other texts. An empty text has an empty translation. A text of more than
        `max_source_length` tokens is split into pieces between sentences, or else between words,
        and the translations of the pieces are joined by spaces. Length limits and decoding
        constraints then apply to each piece, and the prefix to the first.

        The search is compiled once for every new combination of options and batch shape, which
        takes seconds and about 60 MB; the 128 most recently used programs are kept. A service
        should therefore offer few combinations of options. Calls from several threads are safe. A
        process must not be forked between loading a translator and using it; see `ForkError`.

        Args:
            texts: Texts, one sentence or line each.
            beam_size: Number of live beams of the search; 1 means greedy search.
            top_beams: Number of hypotheses per text, at most `beam_size`.
            length_penalty: Strength of the length penalty; 0 ranks hypotheses by log-probability.
            max_length: Maximum number of tokens of a translation, EOS included. `None` means 50
                more than the text has.
            min_length: Minimum number of tokens of a translation, EOS included, as far as the
                maximum allows.
            prefixes: Strings that the translations must start with, one per text; "" for none.
            no_repeat_ngram_size: Integer n. No n-gram of tokens may occur twice in a translation; 0
                allows repetition.
            sampling: Options to draw `top_beams` translations at random. `beam_size` is then
                ignored. `None` means beam search.
            return_attention: Whether hypotheses include their cross-attention scores.
            start: Number of texts before the first one, if several calls translate the parts of a
                corpus. The random numbers of sampling depend on a text's number.
            progress: Function that is called after each batch, with the number of finished pieces
                and the number of all pieces.

        Returns:
            One `Translation` per text.

        Raises:
            ValueError: If a number is out of range; if the number of prefixes is not that of the
                texts, or a prefix is too long; if a text starts with a language code that an
                imported Marian model lacks; or if the model has too few learned positions.
            TypeError: If `texts` or `prefixes` is not a list of strings, `sampling` is not a
                `Sampling`, or a number is not an integer where one is expected.
        """
        texts = as_strings("texts", texts)
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
        check_limits(max_length, min_length)
        prefixes = [""] * len(texts) if prefixes is None else as_strings("prefixes", prefixes)
        if len(prefixes) != len(texts):
            raise ValueError(
                '`prefixes` must have one string per text, "" for no prefix. '
                f"Received: {len(prefixes)} prefixes for {len(texts)} texts"
            )
        requests, counts = self._requests(
            texts, prefixes, max_length, min_length, sampling, as_integer("start", start)
        )
        report = progress or (lambda done, total: None)
        results = self._generator.search(
            requests, lambda done: report(done, len(requests)), sampling, **settings
        )
        parts = iter(self._translations(requests, results, return_attention))
        return [join_parts([next(parts) for _ in range(count)]) for count in counts]

    @refused_after_fork
    def stream(
        self,
        texts: Iterable[str],
        *,
        prefixes: Iterable[str] | None = None,
        buffer: int = BUFFER,
        start: int = 0,
        **options,
    ) -> Iterator[Translation]:
        """Translates texts as they come, in order, for inputs of any length.

        A thread reads ahead. Texts that are ready are translated together, sorted into batches; a
        text that comes alone is translated at once. The translations are those of `translate`, but
        for scores that are equal within 1e-5, since batches have other shapes.

        Args:
            texts: Iterable of texts, which may block, such as the lines of a pipe.
            prefixes: Iterable of prefixes, one per text. `None` means none.
            buffer: Number of texts to read ahead at most.
            start: Number of texts before the first one; see `translate`.
            **options: The other options of `translate`, by name.

        Returns:
            An iterator of one `Translation` per text.

        Raises:
            ValueError, TypeError: As `translate`. What is wrong with a text is raised after the
                translations of the texts before it; the message has its number.

        Example:

            for translation in translator.stream(sys.stdin, beam_size=1):
                print(translation.text, flush=True)
        """
        texts = as_iterator("texts", texts)
        prefixes = itertools.repeat("") if prefixes is None else as_iterator("prefixes", prefixes)
        self.translate([], start=start, **options)  # validates the options

        def answer(group, start):
            texts, prefixes = zip(*group, strict=True)
            return self.translate(texts, prefixes=prefixes, start=start, **options)

        return stream_answers(_with_prefixes(texts, prefixes), answer, buffer, start)

    @refused_after_fork
    def stream_scores(
        self, pairs: Iterable[tuple[str, str]], *, buffer: int = BUFFER
    ) -> Iterator[Score]:
        """Scores given translations as they come, in order; see `score` and `stream`.

        Args:
            pairs: Iterable of tuples, a text and its translation.
            buffer: Number of pairs to read ahead at most.

        Returns:
            An iterator of one `Score` per pair.
        """

        def answer(group, start):
            sources, targets = zip(*group, strict=True)
            return self.score(sources, targets)

        return stream_answers(as_iterator("pairs", pairs), answer, buffer)

    @refused_after_fork
    def score(self, sources: Iterable[str], targets: Iterable[str]) -> list[Score]:
        """Scores given translations by their log-probabilities.

        Unlike in `translate`, long texts are not split, even if they have more tokens than the
        model was trained on.

        Args:
            sources: Texts.
            targets: Translations, one per text.

        Returns:
            One `Score` per pair.

        Raises:
            ValueError: If the number of targets is not that of the sources, or the model has too
                few learned positions.
            TypeError: If `sources` or `targets` is not a list of strings.
        """
        sources, targets = as_strings("sources", sources), as_strings("targets", targets)
        if len(sources) != len(targets):
            raise ValueError(
                "`targets` must have one translation per source. "
                f"Received: {len(targets)} targets for {len(sources)} sources"
            )
        for number, text in enumerate(sources, 1):
            check_tags(self.tokenizer, text, f"Source {number}")
        rows = [
            [[*ids, tokenizer.eos_id] for ids in tokenizer.tokenize(texts)] if texts else []
            for tokenizer, texts in ((self.tokenizer, sources), (self.target_tokenizer, targets))
        ]
        self._check_positions(max((len(ids) for side in rows for ids in side), default=0))
        return [
            Score(sum(log_probs), tuple(log_probs), self._tokens(self.target_tokenizer, ids))
            for log_probs, ids in zip(self._generator.log_probs(*rows), rows[1], strict=True)
        ]

    @refused_after_fork
    def prepare(
        self,
        texts: int,
        beam_size: int = 4,
        top_beams: int = 1,
        length_penalty: float = 0.6,
        *,
        max_length: int | None = None,
        no_repeat_ngram_size: int = 0,
        attention: int = 0,
        pairs: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Compiles all that calls with up to some numbers of texts can need, for a service.

        The other options are those of `translate`, and must be those of the calls.

        Args:
            texts: Number of texts of a call of `translate` at most. A text that is split counts as
                its pieces.
            attention: The same of a call with `return_attention`; 0 for no such calls.
            pairs: Number of pairs of a call of `score` at most, with up to `max_source_length`
                tokens on both sides; 0 for no such calls.
            progress: Function that is called after each program, with the number of programs that
                are compiled and of all.

        Returns:
            The number of programs.

        Raises:
            ValueError: If a setting is out of range, or attention is asked for and the model has
                none.
        """
        settings = {
            "beam_size": beam_size,
            "top_beams": top_beams,
            "length_penalty": length_penalty,
            "no_repeat_ngram_size": no_repeat_ngram_size,
        }
        self.translate([], max_length=max_length, **settings)  # validates the settings
        self._check_positions(max_length or 0)
        generator = self._generator
        programs = service_programs(
            generator, self.max_source_length, max_length, texts, attention * top_beams, pairs
        )
        return compile_all(
            programs, lambda one: generator.compile(one, settings), generator.workers, progress
        )

    def split(self, text: str) -> list[str]:
        """Splits a text into the pieces in which it is translated.

        Returns:
            `[text]`, if it has at most `max_source_length` tokens, EOS included; a list of shorter
            pieces, if it has more, each with the tags at the start of the text (">>fr<<", see
            `TokenizerProtocol.split_tags`); an empty list, if the text is empty.
        """
        if not text.strip() or not self.tokenizer.tokenize(text):
            return []

        def count(piece: str) -> int:
            return len(self.tokenizer.tokenize(piece))

        tags, rest = getattr(self.tokenizer, "split_tags", split_tags)(text)
        limit = self.max_source_length - 1 - (count(tags) if tags else 0)  # 1 for EOS
        if limit < 1:  # no room for text beside the tags
            tags, rest, limit = "", text, self.max_source_length - 1
        if count(rest) <= limit:
            return [text]
        pieces = split_text(rest.strip(), count, limit)
        return [f"{tags} {piece}".lstrip() for piece in pieces if count(piece)]

    def _requests(self, texts, prefixes, max_length, min_length, sampling, start):
        """Returns a request for each piece of each text, and the number of pieces of each text."""
        requests, counts = [], []
        seed = as_integer("seed", sampling.seed) if sampling else 0
        tokenized = self.tokenizer.tokenize(texts) if texts else []
        rows = zip(texts, tokenized, prefixes, strict=True)
        for index, (text, ids, prefix) in enumerate(rows, start):
            check_tags(self.tokenizer, text, f"Text {index + 1}")
            pieces = [ids] if ids and text.strip() else []
            if len(ids) >= self.max_source_length:
                pieces = self.tokenizer.tokenize(self.split(text))
            prefix_ids = self.target_tokenizer.tokenize(prefix) if prefix.strip() else []
            for part, piece in enumerate(pieces):
                request = Request(
                    source=[*piece, self.tokenizer.eos_id],
                    max_length=max_length or len(piece) + 1 + EXTRA_LENGTH,
                    min_length=min_length,
                    prefix=prefix_ids if part == 0 else [],
                    seed=(seed * 1_000_003 + index * 4099 + part) % 2**31,
                )
                _check_prefix(request, index, self._shortlist)
                requests.append(request)
            counts.append(len(pieces))
        self._check_positions(max((request.max_length for request in requests), default=0))
        return requests, counts

    def _translations(
        self,
        requests: list[Request],
        results: list[list[GeneratedSequence]],
        return_attention: bool,
    ) -> list[Translation]:
        """Converts the sequences that were generated for each request to a `Translation`."""
        flat = [
            (request, sequence)
            for request, sequences in zip(requests, results, strict=True)
            for sequence in sequences
        ]
        ids = [sequence.ids for _, sequence in flat]
        known_ids = [self._replace_unknown(row) for row in ids]
        texts = self.target_tokenizer.detokenize(known_ids) if ids else []
        attention = [None] * len(flat)
        if return_attention:
            attention = self._generator.attention([request.source for request, _ in flat], ids)
        hypotheses = iter(
            Hypothesis(
                text,
                sequence.score,
                sequence.log_prob,
                sequence.finished,
                self._tokens(self.target_tokenizer, row),
                scores,
            )
            for text, row, (_, sequence), scores in zip(
                texts, known_ids, flat, attention, strict=True
            )
        )
        return [
            make_translation(
                [next(hypotheses) for _ in sequences], self._tokens(self.tokenizer, request.source)
            )
            for request, sequences in zip(requests, results, strict=True)
        ]

    def _replace_unknown(self, ids: list[int]) -> list[int]:
        """Replaces ids that are not in the target tokenizer; a model may have more of them."""
        size, unk_id = self.target_tokenizer.vocabulary_size(), self.target_tokenizer.unk_id
        return [id if id < size else unk_id for id in ids]

    def _tokens(self, tokenizer, ids: list[int]) -> tuple[str, ...]:
        return tuple(tokenizer.id_to_token(id) for id in ids)

    def _check_positions(self, longest: int) -> None:
        remedy = "Give shorter texts or, in `translate`, a lower `max_length`."
        check_positions(self._generator, longest, remedy)

    def run_settings(self) -> dict:
        """Returns what `run.json` says beside the model and the tokenizers."""
        return {
            "max_source_length": self.max_source_length,
            "shared_vocabulary": self.target_tokenizer is self.tokenizer,
        }

    @refused_after_fork
    def save(self, folder: str | Path) -> None:
        """Saves model and tokenizers to a run folder, from which `load` restores them.

        The shortlist of the translator is saved, too; without one, that of the folder is removed.

        Args:
            folder: Path of the folder, which is created if it does not exist, or its URL, such as
                `"s3://bucket/run"` (a string: a `Path` would drop a slash).

        Raises:
            FolderInUseError: If another process writes to the folder.
            RemoteError: If the URL cannot be written.
            TypeError: If a tokenizer has no method `save`.
        """
        from keras_transformer.translation.run_folder import save_run

        save_run(self, folder)

    @classmethod
    @refused_after_fork
    def load(
        cls,
        folder: str | Path,
        engine: str = KERAS,
        compute_type: str = FLOAT32,
        shortlist: bool = False,
    ) -> "Translator":
        """Loads a translator from a run folder, written by `save` or by a trainer.

        Args:
            folder: Path of the run folder, or its URL, from which the files are fetched.
            engine: `"keras"`, or `"ctranslate2"`, which is faster on a CPU. The run is converted to
                CTranslate2 once, in its folder `ctranslate2` or in the user's cache folder.
            compute_type: The type that CTranslate2 computes in, such as `"int8"`.
            shortlist: Whether to search with the shortlist of the run, which
                `python -m keras_transformer shortlist` adds to it.

        Raises:
            ImportError: If the package of the engine is not installed.
            RemoteError: If the URL cannot be read.
            RunError: If the folder is missing, incomplete or damaged, holds a language model, or
                lacks a shortlist that is asked for.
            ValueError: If its model and tokenizers do not fit together, or the engine is unknown or
                cannot compute the model.
        """
        from keras_transformer.io import fetched_folder
        from keras_transformer.translation.run_folder import (
            FILES,
            SHORTLIST,
            load_run,
            load_shortlist,
        )

        other = load_with_engine(folder, engine, compute_type, shortlist)
        if other is not None:
            return other
        with fetched_folder(folder, (*FILES, SHORTLIST) if shortlist else FILES) as local:
            arguments = load_run(local)
            chosen = load_shortlist(local, folder) if shortlist else None
            return cls(**arguments, shortlist=chosen)


def _with_prefixes(texts: Iterator[str], prefixes: Iterator[str]) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(texts, start=1):
        prefix = next(prefixes, None)
        if prefix is None:
            raise ValueError(
                f'`prefixes` must have one string per text, "" for no prefix. Text {number} has '
                "none."
            )
        yield text, prefix


def _check_prefix(request: Request, index: int, shortlist) -> None:
    """Raises a `ValueError` if the prefix leaves no room for EOS, or in the shortlist."""
    count = len(set(request.prefix))
    if shortlist is not None and count > shortlist.size - SPECIALS:
        raise ValueError(
            f"The prefix of text {index + 1} has {count} different tokens, but the shortlist has "
            f"{shortlist.size - SPECIALS} for each text. Shorten the prefix, or make a shortlist "
            "of a larger size."
        )
    if len(request.prefix) >= request.max_length:
        raise ValueError(
            f"The prefix of text {index + 1} has {len(request.prefix)} tokens, but the maximum of "
            f"its translation is {request.max_length}, EOS included. Shorten the prefix, or raise "
            "`max_length`."
        )
