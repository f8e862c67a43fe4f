"""Decoding: beam search, continuous batching and sampling, given a step function over token ids."""

from keras_transformer.decoding.beam_search import BeamSearch, beam_search
from keras_transformer.decoding.generate import generate, generate_all
from keras_transformer.decoding.hypotheses import Hypotheses
from keras_transformer.decoding.sampling import sample
from keras_transformer.decoding.shortlist import Shortlist
from keras_transformer.decoding.token_sampling import Sampling

__all__ = [
    "BeamSearch",
    "Hypotheses",
    "Sampling",
    "Shortlist",
    "beam_search",
    "generate",
    "generate_all",
    "sample",
]
