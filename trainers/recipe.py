"""Schema of the training options, in `recipes/*.yaml` and on the command line."""

import dataclasses
import math
import re
from typing import ClassVar, Literal

from keras_transformer.io import path_or_url
from trainers.architecture import parse_architecture_options
from trainers.option_checks import (
    INNER_RATES,
    check_at_least,
    check_fine_tuning,
    check_optimizer,
    check_rates,
    check_rows,
    check_tokenizer,
)
from trainers.schedule import complete_schedule

Preset = Literal["auto", "tiny", "base", "big"]
Strategy = Literal["auto", "one", "mirrored", "multi_worker", "tpu"]
LISTS = (  # options with many values
    "train_source",
    "train_target",
    "train_tsv",
    "train_weight",
    "train_tag",
    "validation_source",
    "validation_target",
    "validation_tsv",
    "validation_tag",
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Options of a run that trains a translator.

    The corpus is `phrasebook` (built in), `tfds:NAME`, or `files`: parallel text files (plain or
    .gz), or files with a tab between the two sides. Sizes and schedule, where they are left out,
    are chosen by the size of the corpus.

    Args:
        output: Run folder; created if it does not exist. A URL, such as s3://bucket/run, is sent
            every saved state and the finished run; the work is done in a local cache folder.
        overwrite: Whether to replace a finished or interrupted run in that folder.
        corpus: phrasebook, files, or tfds:NAME (such as tfds:wmt14_translate/de-en).
        data_folder: Folder, or its URL, that the file names below are relative to; or local folder
            that holds prepared TFDS data. File names may be URLs, too.
        train_source: Source side of the training text: one sentence per line, plain or compressed.
            For several corpora, give it again; in a recipe, a list.
        train_target: Translation of train_source, line by line; the n-th belongs to the n-th
            train_source.
        train_tsv: Training text in one file: source, tab, target per line. May be given again.
        tsv_columns: Columns of source and target in the TSV files, counted from 1, such as 2,1; by
            default the first two.
        train_weight: Relative share of a corpus in each epoch, given once for each: first for the
            pairs of files, then for the TSV files. Without weights, every pair is seen once in an
            epoch.
        sampling_temperature: Instead of weights: the share of a corpus is that of its number of
            pairs to the power of 1 / sampling_temperature, so that small corpora are seen more
            often: 1 leaves the shares as they are, a large number makes them equal. 0 turns it off.
        train_tag: Language that a training corpus is translated to, such as fr, given once for
            each corpus in the order of train_weight: its sources start with the tag >>fr<<, which
            becomes one token. So one model can translate to several languages. With the
            phrasebook, fr and en are both directions.
        validation_source: Source side of the validation text, which the model is never trained on.
            For several languages, give it again; in a recipe, a list. BLEU is that of each text,
            and their mean.
        validation_target: Translation of validation_source, line by line.
        validation_tsv: Validation text in one file, instead of these two.
        validation_tag: The same as train_tag, for each validation text.
        train_split: Split of a TFDS corpus to train on.
        validation_split: Split of a TFDS corpus to validate on.
        source_language: Code of the source language.
        target_language: Code of the target language.
        max_length: Pairs with more tokens than this on either side, EOS included, are dropped.
        max_ratio: Pairs whose lengths differ by a larger factor are dropped; 0 keeps all.
        vocabulary_size: Size of the vocabulary; 0 chooses it by the size of the corpus.
        shared_vocabulary: Whether both languages share one vocabulary and one embedding table.
        tokenizer_type: SentencePiece algorithm, unigram or bpe.
        normalization: What the tokenizer unifies: nfc (different encodings of one character, and
            runs of spaces), nmt_nfkc (also similar characters: "10²" becomes "102") or identity
            (nothing).
        tokenizer: SentencePiece model, or run whose tokenizers are used, instead of training one;
            a path or a URL.
        architecture: Architecture of the model: transformer, or another one of
            keras_transformer.models.catalog or of a module that is given as --import.
        architecture_options: Options of the architecture: a mapping in a recipe; on the command
            line name=value, once or several times.
        preset: Size of the model; auto chooses it by the size of the corpus.
        num_layers: Encoder blocks, and decoder blocks if num_decoder_layers is 0; 0 takes the
            preset's.
        num_decoder_layers: Decoder blocks; 0 takes num_layers.
        d_model: Width of every position; 0 takes the preset's.
        num_heads: Attention heads; 0 takes the preset's.
        d_ff: Hidden width of the feed-forward networks; 0 takes the preset's.
        dropout_rate: Dropout rate of embeddings and sub-layer outputs; a negative number takes the
            preset's.
        attention_dropout_rate: Dropout rate of attention scores; the paper has none.
        feed_forward_dropout_rate: Dropout rate inside the feed-forward networks; the paper has
            none.
        norm: Layer normalization, post (the paper's) or pre.
        positions: Position encoding, paper (interleaved sinusoids), t2t, or learned. The
            architectures rotary and relative have their own.
        init_from: Finished run, or its URL, to start from; its weights, architecture, sizes,
            precision and tokenizer are used.
        lora_rank: Rank of an adapter that is trained instead of the weights of init_from (LoRA);
            0 trains all weights.
        epochs: Number of epochs; 0 chooses it by the size of the corpus.
        steps_per_epoch: Steps per epoch; 0 takes one pass over all pairs.
        tokens_per_batch: Positions on the longer side of a batch, padding included.
        max_shapes: Maximum number of different batch shapes; each is compiled once.
        optimizer: adam, with the paper's schedule, or adafactor, which needs less memory. Adafactor
            has its own step sizes and no warm-up: learning_rate_scale and warmup_steps must be 0.
        learning_rate: Highest learning rate, at the end of the warm-up, which replaces
            learning_rate_scale: a small one, such as 0.0001, to train on from a finished run.
        learning_rate_scale: Factor on the paper's learning rate; 0 chooses it by the size of the
            corpus.
        warmup_steps: Steps over which the learning rate rises; 0 chooses them by the size of the
            corpus.
        label_smoothing: Share of the probability of each label that is spread over the other ids.
        checkpoint_steps: Steps between saved states, from which the same command resumes after an
            interruption; 0 saves a state at the end of each epoch only.
        averaged_checkpoints: Number of last epochs whose weights are averaged; 0 or 1 disables
            averaging.
        bleu_every: Epochs between measurements of BLEU and chrF2 on the validation text.
        bleu_tokenizer: Tokenizer of sacreBLEU, such as 13a, zh, ja-mecab or char. auto chooses it
            by target_language, or by the script of the validation text.
        patience: Measurements without a better score after which training stops; 0 disables early
            stopping.
        precision: float32 or mixed_bfloat16.
        compile_with_xla: Whether to compile training steps with XLA.
        strategy: Devices to train on; auto takes all that are available.
        devices: Number of devices of this machine; 0 takes all.
        accumulate_steps: Micro-batches per batch, whose gradients are accumulated to save memory.
        steps_per_execution: Training steps per call of the compiled function.
        packed: Whether several pairs share a row, in batches of one shape: always, never, or auto,
            on TPUs, and in large corpora where this takes fewer operations than padding, if the
            architecture is a Transformer's (see docs/tpu.md). Rows make fewer steps of an epoch.
        packed_length: Positions on either side of a packed row; 0 takes max_length, or with
            packed=auto, but for TPUs, as many as the longest pair needs, or twice as many.
        tensorboard: Whether to write TensorBoard logs to logs/.
        seed: Seed of all random numbers.

    Raises:
        ValueError: An option is out of its range, or two contradict each other.
    """

    PRODUCT: ClassVar[str] = "translator"
    image_task: ClassVar = None  # of a recipe for several tasks

    output: str
    overwrite: bool = False
    corpus: str = "files"
    data_folder: str | None = None
    train_source: list[str] | str = ()  # kept as tuples
    train_target: list[str] | str = ()
    train_tsv: list[str] | str = ()
    train_weight: list[float] | float = ()
    sampling_temperature: float = 0.0
    train_tag: list[str] | str = ()
    tsv_columns: str = ""
    validation_source: list[str] | str = ()
    validation_target: list[str] | str = ()
    validation_tsv: list[str] | str = ()
    validation_tag: list[str] | str = ()
    train_split: str = "train"
    validation_split: str = "validation"
    source_language: str = "source"
    target_language: str = "target"
    max_length: int = 128
    max_ratio: float = 0.0
    vocabulary_size: int = 0
    shared_vocabulary: bool = True
    tokenizer_type: Literal["unigram", "bpe"] = "unigram"
    normalization: Literal["nfc", "nmt_nfkc", "identity"] = "nfc"
    tokenizer: str = ""
    architecture: str = "transformer"
    architecture_options: dict | list[str] | str = dataclasses.field(default_factory=dict)
    preset: Preset = "auto"
    num_layers: int = 0
    num_decoder_layers: int = 0
    d_model: int = 0
    num_heads: int = 0
    d_ff: int = 0
    dropout_rate: float = -1.0
    attention_dropout_rate: float = 0.0
    feed_forward_dropout_rate: float = 0.0
    norm: Literal["post", "pre"] = "post"
    positions: Literal["paper", "t2t", "learned"] = "paper"
    init_from: str | None = None
    lora_rank: int = 0
    epochs: int = 0
    steps_per_epoch: int = 0
    tokens_per_batch: int = 4096
    max_shapes: int = 8
    optimizer: Literal["adam", "adafactor"] = "adam"
    learning_rate: float = 0.0
    learning_rate_scale: float = 0.0
    warmup_steps: int = 0
    label_smoothing: float = 0.1
    checkpoint_steps: int = 0
    averaged_checkpoints: int = 5
    bleu_every: int = 1
    bleu_tokenizer: str = "auto"
    patience: int = 0
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    compile_with_xla: bool = True
    strategy: Strategy = "auto"
    devices: int = 0
    accumulate_steps: int = 1
    steps_per_execution: int = 1
    packed: Literal["auto", "always", "never"] = "auto"
    packed_length: int = 0
    tensorboard: bool = True
    seed: int = 0

    def __post_init__(self):
        for name in ("output", "data_folder", "init_from"):  # a `Path` would drop a URL's slash
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, path_or_url(value))
        for name in LISTS:
            object.__setattr__(self, name, as_tuple(getattr(self, name)))
        options = parse_architecture_options(self.architecture, self.architecture_options)
        object.__setattr__(self, "architecture_options", options)
        self._check_weights()
        self._complete_tags()
        self.column_numbers()
        at_least = {"max_length": 2, "tokens_per_batch": 1, "max_shapes": 1, "bleu_every": 1}
        at_least |= {"accumulate_steps": 1, "steps_per_execution": 1}
        zero = (
            "vocabulary_size num_layers num_decoder_layers d_model num_heads d_ff epochs "
            "steps_per_epoch learning_rate_scale warmup_steps checkpoint_steps "
            "averaged_checkpoints patience max_ratio seed devices packed_length learning_rate "
            "lora_rank"
        )
        check_at_least(self, {**at_least, **dict.fromkeys(zero.split(), 0)})
        if 0 < self.max_ratio < 1:
            raise ValueError(
                f"max_ratio must be at least 1, or 0 to keep all. Received: {self.max_ratio}"
            )
        check_optimizer(self)
        check_tokenizer(self)
        check_rates(self)
        check_rows(self)
        check_fine_tuning(self)

    def _complete_tags(self):
        """Replaces language codes by their tags."""
        for name in ("train_tag", "validation_tag"):
            if codes := getattr(self, name):
                from keras_transformer.text import tag_of

                object.__setattr__(self, name, tuple(map(tag_of, codes)))

    def _check_weights(self):
        for weight in self.train_weight:
            if not (math.isfinite(weight) and weight > 0):
                raise ValueError(
                    f"train_weight must be greater than 0. Received: {weight:g}. To train without "
                    "a corpus, leave it out."
                )
        temperature = self.sampling_temperature
        if temperature and not (math.isfinite(temperature) and temperature >= 1):
            raise ValueError(
                f"sampling_temperature must be at least 1, or 0. Received: {temperature:g}"
            )
        if temperature and self.train_weight:
            raise ValueError(
                "sampling_temperature chooses the weights of the corpora: leave out train_weight. "
                f"Received: sampling_temperature={temperature:g}, and train_weight"
            )

    def column_numbers(self) -> tuple[int, int] | None:
        """Returns the columns of source and target in TSV files, from 1; `None` for the default."""
        if not self.tsv_columns:
            return None
        numbers = re.fullmatch(r"([1-9]\d*), *([1-9]\d*)", self.tsv_columns)
        if numbers is None or numbers[1] == numbers[2]:
            raise ValueError(
                "tsv_columns must be two different columns, counted from 1 and separated by a "
                f"comma, such as 2,1. Received: {self.tsv_columns}"
            )
        return int(numbers[1]), int(numbers[2])

    def sizes(self) -> dict:
        """Returns the sizes of the model that override those of the preset."""
        names = ("num_layers", "num_decoder_layers", "d_model", "num_heads", "d_ff")
        sizes = {name: getattr(self, name) for name in names if getattr(self, name)}
        if self.dropout_rate >= 0:
            sizes["dropout_rate"] = self.dropout_rate
        sizes |= {name: getattr(self, name) for name in INNER_RATES if getattr(self, name)}
        return {**sizes, "norm": self.norm, "positions": self.positions}

    def model_sizes(self) -> dict:
        """Returns the sizes of the model, those of the preset included."""
        from keras_transformer.models import PRESETS

        return {**PRESETS[self.preset], **self.sizes()}

    def completed(self, pairs: int, steps_per_epoch: int) -> "Recipe":
        """Returns this recipe with every option chosen that was left to the size of the corpus.

        Args:
            pairs: Integer. Number of training pairs.
            steps_per_epoch: Integer. Number of batches that they make.
        """
        return complete_schedule(self, steps_per_epoch, small=pairs < 300_000)

    def with_model_settings(self, model, languages: tuple[str, str]) -> "Recipe":
        """Returns this recipe with the actual settings of the model and languages of the corpus.

        The sizes of a new model are those that its architecture was given, which it may change.
        """
        sizes = {"num_decoder_layers": 0, **self.model_sizes()}
        if self.init_from is not None:
            sizes = {name: getattr(model, name, getattr(self, name)) for name in sizes}
        sizes["num_decoder_layers"] = sizes["num_decoder_layers"] or sizes["num_layers"]
        return dataclasses.replace(
            self,
            source_language=languages[0],
            target_language=languages[1],
            precision=model.dtype_policy.name,
            vocabulary_size=model.vocabulary_size,
            shared_vocabulary=model.target_vocabulary_size is None,
            **sizes,
        )


def as_tuple(values) -> tuple:
    """Returns the values of a list option, of which one alone needs no list."""
    if isinstance(values, list | tuple):
        return tuple(values)
    return () if values in ("", None) else (values,)
