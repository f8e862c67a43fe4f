"""Requests and answers of the HTTP service, from which its OpenAPI description is made."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field


def _check_unicode(text: str) -> str:
    """Returns a text; JSON can write halves of characters, which no text in UTF-8 has."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"half of a surrogate pair at character {error.start}") from None
    return text


Text = Annotated[str, AfterValidator(_check_unicode)]
# The first wrong element is enough: errors of half a million take seconds.
Texts = Annotated[list[Text], FailFast()]

RunName = Annotated[str | None, Field(description="Name of the run; needed if several are served.")]


class Asked(BaseModel):
    """A request: other fields and other types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TranslateRequest(Asked):
    """Texts to translate."""

    texts: Annotated[
        Texts,
        Field(description="Texts, one sentence or line each.", examples=[["I am a student."]]),
    ]
    top_beams: Annotated[
        int, Field(ge=1, description="Number of hypotheses per text, up to the service's.")
    ] = 1
    scores: Annotated[bool, Field(description="Whether to return scores.")] = False
    attention: Annotated[bool, Field(description="Whether to return attention scores.")] = False
    run: RunName = None


class ScoreRequest(Asked):
    """Texts and given translations of them."""

    sources: Annotated[Texts, Field(description="Texts.", examples=[["I am a student."]])]
    targets: Annotated[
        Texts,
        Field(description="Translations, one per text.", examples=[["Je suis étudiant."]]),
    ]
    run: RunName = None


class HypothesisAnswer(BaseModel):
    """One of the candidate translations of a text."""

    text: str
    score: Annotated[
        float | None, Field(description="Log-probability divided by the length penalty.")
    ] = None
    log_prob: Annotated[float | None, Field(description="Log-probability, EOS included.")] = None
    finished: Annotated[
        bool, Field(description="Whether the model ended it, and not the length limit.")
    ]
    tokens: Annotated[list[str], Field(description="Its tokens, EOS included.")]
    attention: Annotated[
        list[list[list[list[float]]]] | None,
        Field(description="Of each layer, head, token and source token."),
    ] = None


class TranslationAnswer(BaseModel):
    """The translation of a text."""

    text: Annotated[str, Field(description="The best translation.")]
    score: Annotated[float | None, Field(description="The score of the best translation.")] = None
    parts: Annotated[int, Field(description="Number of pieces of a text that was too long.")]
    source_tokens: Annotated[list[str], Field(description="The tokens of the text, EOS included.")]
    hypotheses: Annotated[list[HypothesisAnswer], Field(description="Best first.")]


class TranslateAnswer(BaseModel):
    """A translation for each text, in order."""

    translations: list[TranslationAnswer]


class ScoreOfPair(BaseModel):
    """The score of a given translation."""

    log_prob: Annotated[float | None, Field(description="Log-probability, EOS included.")]
    token_log_probs: list[float | None]
    tokens: list[str]


class ScoreAnswer(BaseModel):
    """A score for each pair, in order."""

    scores: list[ScoreOfPair]


class Error(BaseModel):
    """Status and message of a failed request."""

    status: int
    message: str


class ErrorAnswer(BaseModel):
    """The answer to a request that failed."""

    error: Error


class Health(BaseModel):
    """State of the service."""

    status: Annotated[str, Field(description='"ready", or "ending".', examples=["ready"])]


def translation_answer(translation, top_beams: int, scores: bool) -> TranslationAnswer:
    """Returns the answer for a `Translation`."""
    return TranslationAnswer(
        text=translation.text,
        score=translation.score if scores else None,
        parts=translation.parts,
        source_tokens=translation.source_tokens,
        hypotheses=[_hypothesis(one, scores) for one in translation.hypotheses[:top_beams]],
    )


def _hypothesis(hypothesis, scores: bool) -> HypothesisAnswer:
    attention = hypothesis.attention
    if attention is not None:
        attention = attention.astype("float64").round(4).tolist()
    return HypothesisAnswer(
        text=hypothesis.text,
        score=hypothesis.score if scores else None,
        log_prob=hypothesis.log_prob if scores else None,
        finished=hypothesis.finished,
        tokens=hypothesis.tokens,
        attention=attention,
    )
