"""A run that is served: a translator with fixed settings, asked in batches of compiled shapes."""

import dataclasses
from collections.abc import Callable

from keras_transformer.illustrate.explanation import Explanation
from keras_transformer.serving.explaining import make_explainer
from keras_transformer.serving.service_settings import ServiceSettings
from keras_transformer.translation import Translator
from keras_transformer.translation.validation import check_tags

SHOWN = 8  # hypotheses whose attention is computed together, and pairs that are scored together


class RefusedError(ValueError):
    """Error raised for a request that is not one of those that are served; it says what is."""


class ServedRun:
    """A translator with the settings and limits of a service.

    Args:
        name: The name under which the run is served.
        translator: The translator.
        settings: Settings of the service.
    """

    def __init__(self, name: str, translator: Translator, settings: ServiceSettings):
        self.name, self.translator = name, translator
        self.search, self.limits, self.batching = (
            settings.search,
            settings.limits,
            settings.batching,
        )
        self.has_attention = True
        self.explainer = make_explainer(translator, settings.search) if settings.page else None

    @property
    def batch_sizes(self) -> dict[str, int]:
        """The number of texts or pairs that each operation takes together at most."""
        return {
            "translate": self.batching.size,
            "attention": max(1, min(self.batching.size, SHOWN // self.search.top_beams)),
            "score": min(self.batching.size, SHOWN),
            "explain": 1,
        }

    def prepare(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Compiles all that requests can need; finds out whether the model has attention.

        Returns:
            The number of programs.
        """
        explained = self.explainer.prepare() if self.explainer is not None else 0
        sizes, options = self.batch_sizes, dataclasses.asdict(self.search)
        counts = {"texts": sizes["translate"], "pairs": sizes["score"], "progress": progress}
        try:
            attention = {"attention": sizes["attention"]}
            return explained + self.translator.prepare(**counts, **attention, **options)
        except ValueError:  # there is no attention; else the error comes again
            self.has_attention = False
            return explained + self.translator.prepare(**counts, **options)

    def translate(self, texts: list[str], attention: bool = False) -> list:
        """Returns the `Translation` of each text."""
        options = {"return_attention": True} if attention else {}
        return self.translator.translate(texts, **dataclasses.asdict(self.search), **options)

    def score(self, pairs: list[tuple[str, str]]) -> list:
        """Returns the `Score` of each pair of a text and its translation."""
        sources, targets = zip(*pairs, strict=True)
        return self.translator.score(sources, targets)

    def explain(self, texts: list[str]) -> list[Explanation]:
        """Returns the `Explanation` of each text."""
        return [self.explainer.explain(text) for text in texts]

    def pieces(self, text: str, attention: bool = False) -> int:
        """Returns the number of pieces in which a text is translated, at least 1.

        Raises:
            RefusedError: The text is too long.
        """
        tokens = self._check_length("text", text, self.limits.tokens)
        if tokens < self.translator.max_source_length // 2:  # tags may be counted otherwise
            return 1
        pieces = max(1, len(self.translator.split(text)))
        if pieces > self.batching.size:
            raise RefusedError(
                f"A text is too long: it would be translated in {pieces} pieces, at most "
                f"{self.batching.size} are served. Send shorter texts."
            )
        if attention and pieces > 1:
            raise RefusedError(
                "Attention is shown of texts of up to "
                f"{self.translator.max_source_length - 1} tokens, which are translated in one "
                "piece. Send a shorter text, or leave `attention` out."
            )
        return pieces

    def check_pair(self, source: str, target: str) -> None:
        """Raises a RefusedError if a text or its translation is too long to be scored."""
        longest = min(self.limits.tokens, self.translator.max_source_length - 1)
        self._check_length("source", source, longest)
        self._check_length("target", target, longest)

    def check_explained(self, text: str) -> None:
        """Raises a RefusedError if a text cannot be explained."""
        if self.explainer is None:
            raise RefusedError(
                f"The run {self.name} is served without its page, by an engine that keeps no "
                "history of its search, finds all words at once, or has a shortlist: serve one "
                "that writes word by word with the engine keras, without --shortlist."
            )
        if not self.translator.tokenizer.tokenize(text):
            raise RefusedError("The text is empty. Send a sentence.")
        self._check_length("text", text, self.explainer.longest - 1)

    def _check_length(self, name: str, text: str, longest: int) -> int:
        """Returns the number of tokens of a text; asks whether the model has its language."""
        limit = self.limits.characters
        if len(text) > limit:
            raise RefusedError(
                f"A {name} has {len(text)} characters, at most {limit} are served. Send shorter "
                "texts."
            )
        translator = self.translator
        tokenizer = translator.target_tokenizer if name == "target" else translator.tokenizer
        if name != "target":
            check_tags(tokenizer, text, f"A {name}")
        tokens = len(tokenizer.tokenize(text))
        if tokens > longest:
            raise RefusedError(
                f"A {name} has {tokens} tokens, at most {longest} are served. Send shorter texts."
            )
        return tokens

    def about(self) -> dict:
        """Returns what users may know of the run: no paths, no data."""
        about = self.translator.about
        languages = {name: about.get(name) for name in ("source_language", "target_language")}
        return {
            "name": self.name,
            **languages,
            "attention": self.has_attention,
            "explained_tokens": self.explainer.longest - 1 if self.explainer is not None else 0,
            "max_source_length": self.translator.max_source_length,
        }


def load_runs(settings: ServiceSettings) -> dict[str, ServedRun]:
    """Loads the runs of a service.

    Raises:
        ImportError, ValueError, OSError: As `Translator.load`.
    """
    return {
        name: ServedRun(
            name,
            Translator.load(folder, settings.engine, settings.compute_type, settings.shortlist),
            settings,
        )
        for name, folder in settings.runs.items()
    }
