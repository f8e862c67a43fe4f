"""Schema of the options that train a language model."""

import dataclasses
from typing import ClassVar, Literal

from keras_transformer.io import path_or_url
from trainers.architecture import parse_architecture_options
from trainers.option_checks import (
    INNER_RATES,
    check_at_least,
    check_fine_tuning,
    check_optimizer,
    check_rates,
    check_tokenizer,
)
from trainers.recipe import Preset, Strategy
from trainers.schedule import complete_schedule

SIZES = ("num_layers", "d_model", "num_heads", "d_ff")


@dataclasses.dataclass(frozen=True)
class LanguageRecipe:
    """Options of a run that trains a language model, which continues texts.

    The text is one file. Sizes and schedule, where they are left out, are chosen by the size of the
    text.

    Args:
        output: Run folder; created if it does not exist. A URL, such as s3://bucket/run, is sent
            every saved state and the finished run; the work is done in a local cache folder.
        overwrite: Whether to replace a finished or interrupted run in that folder.
        train_text: Text file to train on, plain or compressed, or its URL. It must fit into memory.
        validation_text: Text file, which the model is never trained on, to measure perplexity and
            bits per character.
        documents: What a document is, in both files. lines takes every line; paragraphs takes what
            stands between blank lines, its lines joined by spaces.
        max_length: Maximum tokens of a piece, EOS included. Longer documents are cut into pieces.
        vocabulary_size: Size of the vocabulary; 0 chooses it by the size of the text.
        tokenizer_type: SentencePiece algorithm, unigram or bpe.
        normalization: What the tokenizer unifies: nfc, nmt_nfkc or identity.
        tokenizer: SentencePiece model, or run whose tokenizer is used, instead of training one; or
            its URL.
        architecture: Architecture of the model: transformer, or another one of
            `keras_transformer.models.create_model` that makes language models, such as rotary.
        architecture_options: Options of the architecture: a mapping in a recipe; on the command
            line name=value, repeated for each.
        preset: Size of the model; auto chooses it by the size of the text.
        num_layers: Number of blocks; 0 takes the preset's.
        d_model: Width of every position; 0 takes the preset's.
        num_heads: Attention heads; 0 takes the preset's.
        d_ff: Hidden width of the feed-forward networks; 0 takes the preset's.
        dropout_rate: Dropout rate; a negative number takes the preset's.
        attention_dropout_rate: Dropout rate of the attention scores.
        feed_forward_dropout_rate: Dropout rate inside the feed-forward networks.
        norm: Layer normalization, post (the paper's) or pre.
        positions: Position encoding, paper (interleaved sinusoids), t2t, or learned.
            The architectures rotary and relative have their own.
        init_from: Finished run of a language model, or its URL, to start from; its weights,
            architecture, sizes, precision and tokenizer are used.
        lora_rank: Rank of an adapter that is trained instead of the weights of init_from (LoRA);
            0 trains all weights.
        epochs: Number of epochs; 0 chooses it by the size of the text.
        steps_per_epoch: Steps per epoch; 0 takes one pass over the text.
        tokens_per_batch: Positions of a batch, padding included.
        optimizer: adam, with the paper's schedule, or adafactor.
        learning_rate: Highest learning rate, at the end of the warm-up, which replaces
            learning_rate_scale: a small one, such as 0.0001, to train on from a finished run.
        learning_rate_scale: Factor on the paper's learning rate; 0 chooses it by the size of the
            text.
        warmup_steps: Steps over which the learning rate rises; 0 chooses them by the size of the
            text.
        label_smoothing: Share of the probability of each label that is spread over the other ids;
            by default none, since it makes perplexity worse.
        checkpoint_steps: Steps between saved states, from which the same command resumes after an
            interruption; 0 saves a state at the end of each epoch only.
        averaged_checkpoints: Number of last epochs that are kept. The weights that predict the
            validation text best are used: those of one of them, or their average. Without
            validation text it is the average.
        precision: float32 or mixed_bfloat16.
        compile_with_xla: Whether to compile training steps with XLA.
        strategy: Devices to train on; auto takes all that are available.
        devices: Number of devices of this machine; 0 takes all.
        accumulate_steps: Micro-batches per batch, whose gradients are accumulated to save memory.
        steps_per_execution: Training steps per call of the compiled function.
        tensorboard: Whether to write TensorBoard logs to logs/.
        seed: Seed of all random numbers.

    Raises:
        ValueError: An option is out of its range.
    """

    PRODUCT: ClassVar[str] = "language model"

    output: str
    overwrite: bool = False
    train_text: str = ""
    validation_text: str = ""
    documents: Literal["lines", "paragraphs"] = "lines"
    max_length: int = 128
    vocabulary_size: int = 0
    tokenizer_type: Literal["unigram", "bpe"] = "unigram"
    normalization: Literal["nfc", "nmt_nfkc", "identity"] = "nfc"
    tokenizer: str = ""
    architecture: str = "transformer"
    architecture_options: dict | list[str] | str = dataclasses.field(default_factory=dict)
    preset: Preset = "auto"
    num_layers: int = 0
    d_model: int = 0
    num_heads: int = 0
    d_ff: int = 0
    dropout_rate: float = -1.0
    attention_dropout_rate: float = 0.0
    feed_forward_dropout_rate: float = 0.0
    norm: Literal["post", "pre"] = "pre"
    positions: Literal["paper", "t2t", "learned"] = "paper"
    init_from: str | None = None
    lora_rank: int = 0
    epochs: int = 0
    steps_per_epoch: int = 0
    tokens_per_batch: int = 4096
    optimizer: Literal["adam", "adafactor"] = "adam"
    learning_rate: float = 0.0
    learning_rate_scale: float = 0.0
    warmup_steps: int = 0
    label_smoothing: float = 0.0
    checkpoint_steps: int = 0
    averaged_checkpoints: int = 5
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    compile_with_xla: bool = True
    strategy: Strategy = "auto"
    devices: int = 0
    accumulate_steps: int = 1
    steps_per_execution: int = 1
    tensorboard: bool = True
    seed: int = 0

    def __post_init__(self):
        for name in ("output", "init_from"):  # a `Path` would drop a URL's slash
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, path_or_url(value))
        options = parse_architecture_options(self.architecture, self.architecture_options)
        object.__setattr__(self, "architecture_options", options)
        least = {"max_length": 2, "tokens_per_batch": 1}
        least |= {"accumulate_steps": 1, "steps_per_execution": 1}
        zero = "vocabulary_size epochs steps_per_epoch learning_rate_scale warmup_steps devices "
        zero += "checkpoint_steps averaged_checkpoints seed learning_rate lora_rank"
        check_at_least(self, {**least, **dict.fromkeys([*zero.split(), *SIZES], 0)})
        check_optimizer(self)
        check_tokenizer(self)
        check_rates(self)
        check_fine_tuning(self)

    def model_sizes(self) -> dict:
        """Returns the sizes of the model, those of the preset included."""
        from keras_transformer.models import PRESETS

        sizes = {name: getattr(self, name) for name in SIZES if getattr(self, name)}
        if self.dropout_rate >= 0:
            sizes["dropout_rate"] = self.dropout_rate
        sizes |= {name: getattr(self, name) for name in INNER_RATES if getattr(self, name)}
        return {**PRESETS[self.preset], **sizes, "norm": self.norm, "positions": self.positions}

    def completed(self, tokens: int, steps_per_epoch: int) -> "LanguageRecipe":
        """Returns this recipe with every option chosen that was left to the size of the text.

        Args:
            tokens: Integer. Number of tokens of the training text.
            steps_per_epoch: Integer. Number of batches that they make.
        """
        return complete_schedule(self, steps_per_epoch, small=tokens < 10_000_000)
