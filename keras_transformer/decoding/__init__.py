"""Search, and the translator that puts tokenizer, model and search together."""

from keras_transformer.decoding.beam_search import BeamSearch, beam_search
from keras_transformer.decoding.drawing import Sampling
from keras_transformer.decoding.generate import generate, generate_all
from keras_transformer.decoding.hypotheses import Hypotheses
from keras_transformer.decoding.run_folder import RunError
from keras_transformer.decoding.sampling import sample
from keras_transformer.decoding.translation import Hypothesis, Score, Translation
from keras_transformer.decoding.translator import Translator

__all__ = [
    "BeamSearch",
    "Hypotheses",
    "Hypothesis",
    "RunError",
    "Sampling",
    "Score",
    "Translation",
    "Translator",
    "beam_search",
    "generate",
    "generate_all",
    "sample",
]
