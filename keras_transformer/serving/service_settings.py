"""Settings of an HTTP service: fixed when it starts.

Workers receive them before they import a backend, so this module imports none.
"""

import dataclasses

MOST = 1_000_000_000  # of any limit; more is surely a typo
STRONGEST = 10.0  # length penalty: far above it, scores are no numbers any more


@dataclasses.dataclass(frozen=True)
class FixedSearch:
    """Settings of the search, which requests cannot change.

    Attributes:
        beam_size: Number of beams.
        top_beams: Number of hypotheses that a request may ask for at most.
        length_penalty: Strength of the length penalty.
        max_length: Maximum number of tokens of a translation. `None` means 50 more than the text
            has.
        no_repeat_ngram_size: Integer n. No n-gram of tokens may occur twice; 0 allows it.
    """

    beam_size: int = 4
    top_beams: int = 1
    length_penalty: float = 0.6
    max_length: int | None = None
    no_repeat_ngram_size: int = 0

    def __post_init__(self):
        if not 0 <= self.length_penalty <= STRONGEST:
            raise ValueError(
                f"`length_penalty` must be from 0 to {STRONGEST:g}. Received: {self.length_penalty}"
            )
        if not 0 <= self.no_repeat_ngram_size <= MOST:
            raise ValueError(
                f"`no_repeat_ngram_size` must be from 0 to {MOST:,}. "
                f"Received: {self.no_repeat_ngram_size}"
            )


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits on what comes from outside.

    Attributes:
        body: Bytes of a request's body.
        texts: Texts of a request.
        characters: Characters of a text.
        tokens: Tokens of a text.
        queue: Texts that wait, of all requests.
        seconds: Seconds until a request is answered, or given up.
        receive_seconds: Seconds until a request has come as a whole.
        connections: Open connections.
        end_seconds: Seconds until the service has ended, from the first signal on.
    """

    body: int = 1 << 20
    texts: int = 64
    characters: int = 5000
    tokens: int = 1000
    queue: int = 1024
    seconds: float = 30.0
    receive_seconds: float = 10.0
    connections: int = 256
    end_seconds: float = 30.0

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if not 0 < value <= MOST:
                raise ValueError(
                    f"The limit `{name}` must be greater than 0, and at most {MOST:,}. "
                    f"Received: {value}"
                )
        if self.queue < self.texts:
            raise ValueError(
                "The queue must have room for the texts of one request. "
                f"Received: a limit of {self.queue} texts in the queue, {self.texts} in a request"
            )


@dataclasses.dataclass(frozen=True)
class Batching:
    """Batches of texts of several requests.

    Attributes:
        size: Number of texts that are translated together at most; a text that is split counts as
            its pieces.
        pause: Seconds without a new text after which no more are waited for.
    """

    size: int = 64
    pause: float = 0.005

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(f"The batch size must be at least 1. Received: {self.size}")
        if not 0 <= self.pause <= 1:
            raise ValueError(
                f"The wait for more texts must be from 0 to 1 second. Received: {self.pause}"
            )


@dataclasses.dataclass(frozen=True)
class ServiceSettings:
    """All that a service is started with.

    Attributes:
        runs: Folder or URL of each run, by the name under which it is served.
        search: Settings of the search.
        limits: Limits on requests.
        batching: How texts are put together.
        engine: Name of the engine.
        compute_type: Type that the engine computes in.
        tokens: Bearer tokens, one of which every request must have; empty for no such check.
        page: Whether there is a page that shows translations, and what it needs.
        shortlist: Whether runs are searched with their shortlists.
    """

    runs: dict[str, str]
    search: FixedSearch = FixedSearch()
    limits: Limits = Limits()
    batching: Batching = Batching()
    engine: str = "keras"
    compute_type: str = "float32"
    tokens: tuple[str, ...] = ()
    page: bool = True
    shortlist: bool = False
