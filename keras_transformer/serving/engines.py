"""Engines that take the place of Keras in a translator."""

import os

from keras_transformer.forking import refuse_after_fork, refused_after_fork
from keras_transformer.io import fetched_folder, is_url
from keras_transformer.serving.conversion import converted
from keras_transformer.serving.ctranslate2_engine import check_compute_type
from keras_transformer.serving.ctranslate2_search import CTranslate2Generator, refuse
from keras_transformer.translation import Translator
from keras_transformer.translation.run_folder import (
    FILES,
    load_tokenizers,
    read_description,
    read_settings,
)


class CTranslate2Translator(Translator):
    """A `Translator` that translates and scores with CTranslate2, on the processor.

    Texts are split, limited and joined as by `Translator`, and hypotheses are ranked by the same
    formula. There is no Keras model, so `save`, exports and `return_attention` are not available,
    and there is no sampling.

    Args:
        generator: `CTranslate2Generator` of the converted model.
        target_tokenizer: As of `Translator`.
        tokenizer, max_source_length, about: As of `Translator`.
    """

    _shortlist = None

    def __init__(
        self, generator, tokenizer, target_tokenizer, max_source_length: int = 256, about=None
    ):
        refuse_after_fork()
        self.tokenizer, self.target_tokenizer = tokenizer, target_tokenizer
        self.max_source_length, self.about = max_source_length, dict(about or {})
        self._generator = generator

    @property
    def model(self):
        """Raises an AttributeError: there is no Keras model."""
        raise AttributeError(
            "A translator of the engine ctranslate2 has no Keras model. Load the run without "
            "`engine`."
        )

    def translate(self, texts, *settings, return_attention: bool = False, **options):
        """Translates texts by beam search, as `Translator.translate`.

        Raises:
            ValueError: As by `Translator.translate`, or `sampling` or `return_attention` is given.
        """
        if return_attention:
            refuse("return_attention")
        return super().translate(texts, *settings, **options)

    def prepare(self, texts: int, *settings, attention: int = 0, pairs: int = 0, **options) -> int:
        """Validates settings and loads the model; nothing is compiled. See `Translator.prepare`.

        Raises:
            ValueError: If a setting is out of range, or `attention` is not 0.
        """
        if attention:
            refuse("attention")
        options.pop("progress", None)
        self._generator.load()
        warm = ["."]
        self.translate(warm, *settings, **options)
        self.translate(texts * warm, *settings, **options)
        if pairs:
            self.score(warm, warm)
        return 0


@refused_after_fork
def load_ctranslate2(
    folder: str | os.PathLike, compute_type: str = "float32"
) -> CTranslate2Translator:
    """Loads a run with CTranslate2. It is converted first, unless it was before.

    Args:
        folder: Path of the run folder, or its URL.
        compute_type: CTranslate2's name of the type that it computes in, such as `"int8"`.

    Raises:
        ImportError: CTranslate2 is not installed.
        RemoteError: The URL cannot be read.
        RunError: The folder is missing, incomplete or damaged, or holds a language model.
        ValueError: CTranslate2 cannot compute the model, or not in `compute_type`.
    """
    check_compute_type(compute_type)
    with fetched_folder(folder, FILES) as run:
        model = converted(run, is_fetched=is_url(folder))
        description = read_description(run)
        settings = read_settings(description)
        tokenizers = load_tokenizers(
            run, description["shared_vocabulary"], description["special_ids"]
        )
    source = tokenizers["tokenizer"]
    target = tokenizers.get("target_tokenizer", source)
    generator = CTranslate2Generator(model, compute_type, source, target)
    return CTranslate2Translator(generator, source, target, **settings)
