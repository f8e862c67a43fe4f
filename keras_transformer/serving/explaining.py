"""Explanations of translations: the beam's tree, step by step, and the attention, as data."""

from typing import Annotated

from pydantic import BaseModel, Field

from keras_transformer.decoding.latent_search import has_latents
from keras_transformer.illustrate.attention_view import Attention, packed
from keras_transformer.illustrate.explanation import Explainer, Explanation
from keras_transformer.illustrate.extraction import known_ids, tokens_of
from keras_transformer.illustrate.search_view import FATES, search_drawing
from keras_transformer.serving.messages import Asked, HypothesisAnswer, RunName, Text
from keras_transformer.serving.service_settings import FixedSearch

LONGEST = 32  # tokens of a sentence that is explained, EOS included


class ExplainRequest(Asked):
    """A sentence whose translation is explained."""

    text: Annotated[Text, Field(description="The sentence.", examples=["I am a student."])]
    run: RunName = None


class ExplainAnswer(BaseModel):
    """Steps of a translation, which the page draws."""

    source_tokens: Annotated[list[str], Field(description="Tokens of the sentence, EOS included.")]
    hypotheses: Annotated[
        list[HypothesisAnswer], Field(description="As many as the search has beams, best first.")
    ]
    tree: Annotated[
        dict, Field(description="Candidates of all steps: `nodes` and `edges`, in pixels.")
    ]
    steps: Annotated[
        list[list[dict]],
        Field(description="Live beams before each step, with their most probable next tokens."),
    ]
    fates: Annotated[dict[str, str], Field(description="What the fates of the nodes mean.")]
    attention: Annotated[
        dict | None,
        Field(
            description="Tokens and all scores of the best hypothesis, in base64, one byte a "
            "score; missing if the model has none."
        ),
    ] = None


def make_explainer(translator, search: FixedSearch) -> Explainer | None:
    """Returns the explainer of a translator; `None` without a history of all words."""
    if not hasattr(translator, "model") or has_latents(translator.model):
        return None
    if translator.shortlist is not None:
        return None
    return Explainer(
        translator,
        LONGEST,
        beam_size=search.beam_size,
        length_penalty=search.length_penalty,
        max_length=search.max_length,
        no_repeat_ngram_size=search.no_repeat_ngram_size,
    )


def explanation_answer(explainer: Explainer, explained: Explanation) -> ExplainAnswer:
    """Returns the answer for an `Explanation`."""
    translator = explainer.translator
    tokenizer = translator.target_tokenizer

    def token_of(id: int) -> str:
        return tokens_of(tokenizer, [id])[0]

    drawing = search_drawing(
        explained.steps,
        explained.hypotheses,
        token_of,
        explainer.beam_size,
        tokenizer.eos_id,
        translator.model.pad_id,
    )
    return ExplainAnswer(
        source_tokens=tokens_of(translator.tokenizer, explained.source),
        hypotheses=[
            HypothesisAnswer(
                text=tokenizer.detokenize(known_ids(tokenizer, list(one["ids"]))),
                score=one["score"],
                log_prob=one["log_prob"],
                finished=one["finished"],
                tokens=one["tokens"],
            )
            for one in drawing["hypotheses"]
        ],
        tree=drawing["tree"],
        steps=drawing["steps"],
        fates=FATES,
        attention=_attention(explained.attention),
    )


def _attention(attention: Attention | None) -> dict | None:
    """Returns what the attention view draws, beginning with the last cross-attention."""
    if attention is None:
        return None
    start = {"layer": len(attention.cross) - 1, "kind": "inp_out", "token": None}
    return {**packed(attention), "start": start}
