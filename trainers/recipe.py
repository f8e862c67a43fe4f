"""What a training run can be told: the schema of `recipes/*.yaml` and of the command line."""

import dataclasses
import math
from pathlib import Path
from typing import Literal

Preset = Literal["auto", "tiny", "base", "big"]
Strategy = Literal["auto", "one", "mirrored", "multi_worker", "tpu"]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A run that trains a translator.

    The corpus is `phrasebook` (built in), `tfds:NAME`, or `files`: parallel text files (plain or
    .gz), or files with a tab between the two sides. What is left out is chosen by the size of
    the corpus.

    Args:
        output: Folder of the run; made if it is not there.
        overwrite: Whether a run in that folder, finished or interrupted, is to be replaced.
        corpus: phrasebook, files, or tfds:NAME (such as tfds:wmt14_translate/de-en).
        data_folder: Folder that file names below start from, or where prepared TFDS data lies.
        train_source: Text file to learn from, a sentence a line, plain or .gz.
        train_target: Its translation, line by line.
        train_tsv: Instead of these two: one file with source, tab, target.
        validation_source: Text file to choose by, never learnt from.
        validation_target: Its translation, line by line.
        validation_tsv: Instead of these two: one file with source, tab, target.
        train_split: Split of a TFDS corpus to learn from.
        validation_split: Split of a TFDS corpus to choose by.
        source_language: Code of the source language.
        target_language: Code of the target language.
        max_length: Pairs with more tokens on a side, its end included, are left out.
        max_ratio: Pairs whose sides' lengths differ by a larger factor are left out; 0 keeps all.
        vocabulary_size: Ids of the tokenizer; 0 chooses by the size of the corpus.
        shared_vocabulary: Whether both languages share one vocabulary and one table.
        tokenizer_type: How sub-words are found, unigram or bpe.
        preset: Size of the model; auto chooses by the size of the corpus.
        num_layers: Blocks of the encoder, and of the decoder unless told; 0 as the preset.
        num_decoder_layers: Blocks of the decoder; 0 as num_layers.
        d_model: Width of every position; 0 as the preset.
        num_heads: Attention heads; 0 as the preset.
        d_ff: Width of the feed-forward networks; 0 as the preset.
        dropout_rate: Share that dropout drops; negative as the preset.
        norm: post (the paper's) or pre.
        positions: paper (interleaved sinusoids), t2t, or learned.
        init_from: Finished run to go on from: its weights, sizes, precision and tokenizer are used.
        epochs: Rounds; 0 chooses by the size of the corpus.
        steps_per_epoch: Steps of a round; 0 means that every pair is seen once.
        tokens_per_batch: Positions of a batch's longer side, padding included.
        max_shapes: Most different shapes of batches; each is compiled once.
        optimizer: adam, with the paper's schedule, or adafactor, which needs less memory; it has
            step sizes of its own and no warm-up: learning_rate_scale and warmup_steps must be 0.
        learning_rate_scale: Factor of the paper's learning rate; 0 chooses.
        warmup_steps: Steps in which the learning rate rises; 0 chooses.
        label_smoothing: Share of each label given to the other ids.
        checkpoint_steps: Steps between two saved states, from which the same command goes on after
            an interruption; 0 saves one at the end of each epoch only.
        averaged_checkpoints: How many last epochs are averaged at the end; 0 or 1 averages none.
        bleu_every: Epochs between two BLEU scores of the validation text.
        patience: Scores without a better BLEU before training ends; 0 never ends early.
        precision: float32 or mixed_bfloat16.
        compile_with_xla: Whether training steps are compiled by XLA.
        strategy: Devices to train on; auto takes what there is.
        devices: How many devices of this machine; 0 takes all.
        accumulate_steps: Micro-batches that every batch is split into, to need less memory.
        steps_per_execution: Steps that a device is given at once.
        packed: Whether several pairs share a row, in batches of one shape; auto does so on TPUs.
            Elsewhere it saves the time that padding takes, and that of compiling more shapes.
        packed_length: Positions of a side of such a row; 0 takes max_length.
        tensorboard: Whether logs/ is written for TensorBoard.
        seed: Where random numbers start.

    Raises:
        ValueError: An option is out of its range, or two do not go together.
    """

    output: Path
    overwrite: bool = False
    corpus: str = "files"
    data_folder: Path | None = None
    train_source: str = ""
    train_target: str = ""
    train_tsv: str = ""
    validation_source: str = ""
    validation_target: str = ""
    validation_tsv: str = ""
    train_split: str = "train"
    validation_split: str = "validation"
    source_language: str = "source"
    target_language: str = "target"
    max_length: int = 128
    max_ratio: float = 0.0
    vocabulary_size: int = 0
    shared_vocabulary: bool = True
    tokenizer_type: Literal["unigram", "bpe"] = "unigram"
    preset: Preset = "auto"
    num_layers: int = 0
    num_decoder_layers: int = 0
    d_model: int = 0
    num_heads: int = 0
    d_ff: int = 0
    dropout_rate: float = -1.0
    norm: Literal["post", "pre"] = "post"
    positions: Literal["paper", "t2t", "learned"] = "paper"
    init_from: Path | None = None
    epochs: int = 0
    steps_per_epoch: int = 0
    tokens_per_batch: int = 4096
    max_shapes: int = 8
    optimizer: Literal["adam", "adafactor"] = "adam"
    learning_rate_scale: float = 0.0
    warmup_steps: int = 0
    label_smoothing: float = 0.1
    checkpoint_steps: int = 0
    averaged_checkpoints: int = 5
    bleu_every: int = 1
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
        at_least = {"max_length": 2, "tokens_per_batch": 1, "max_shapes": 1, "bleu_every": 1}
        at_least |= {"accumulate_steps": 1, "steps_per_execution": 1}
        zero = (
            "vocabulary_size num_layers num_decoder_layers d_model num_heads d_ff epochs "
            "steps_per_epoch learning_rate_scale warmup_steps checkpoint_steps "
            "averaged_checkpoints patience max_ratio seed devices packed_length"
        )
        for name, least in {**at_least, **dict.fromkeys(zero.split(), 0)}.items():
            if not math.isfinite(value := getattr(self, name)):
                raise ValueError(f"{name} must be a number, at least {least}. Received: {value}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}. Received: {value}")
        if 0 < self.max_ratio < 1:
            raise ValueError(
                f"max_ratio must be at least 1, or 0 to keep all. Received: {self.max_ratio}"
            )
        if self.optimizer == "adafactor" and (self.learning_rate_scale or self.warmup_steps):
            raise ValueError(
                "optimizer adafactor has step sizes of its own. Received: learning_rate_scale="
                f"{self.learning_rate_scale}, warmup_steps={self.warmup_steps}. Leave both out, or "
                "give --learning-rate-scale 0 --warmup-steps 0."
            )
        if not self.label_smoothing < 1 or self.label_smoothing < 0:
            raise ValueError(
                "label_smoothing must be at least 0 and less than 1. Received: "
                f"{self.label_smoothing}"
            )
        if not self.dropout_rate < 1:
            raise ValueError(f"dropout_rate must be less than 1. Received: {self.dropout_rate}")

    def sizes(self) -> dict:
        """The model's sizes that differ from the preset."""
        names = ("num_layers", "num_decoder_layers", "d_model", "num_heads", "d_ff")
        sizes = {name: getattr(self, name) for name in names if getattr(self, name)}
        if self.dropout_rate >= 0:
            sizes["dropout_rate"] = self.dropout_rate
        return {**sizes, "norm": self.norm, "positions": self.positions}

    def completed(self, pairs: int, steps_per_epoch: int) -> "Recipe":
        """This recipe with everything chosen that was left to the size of the corpus.

        The aim: a small corpus is gone through often, with the warm-up over before a quarter of
        the training; a large one less often, at the paper's settings.

        Args:
            pairs: How many pairs there are to learn from.
            steps_per_epoch: How many batches they make.
        """
        small = pairs < 300_000
        steps_per_epoch = self.steps_per_epoch or steps_per_epoch
        epochs = self.epochs or max(3, min(60, 20_000 // steps_per_epoch))
        if not self.epochs and not small:
            epochs = max(3, min(60, 100_000 // steps_per_epoch))
        steps = epochs * steps_per_epoch
        schedule = {
            "warmup_steps": self.warmup_steps or max(1, min(2000 if small else 4000, steps // 4)),
            "learning_rate_scale": self.learning_rate_scale or (2.0 if small else 1.0),
        }
        return dataclasses.replace(
            self,
            preset=self.preset if self.preset != "auto" else ("tiny" if small else "base"),
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            **(schedule if self.optimizer == "adam" else {}),
        )

    def with_facts_of(self, model, languages: tuple[str, str]) -> "Recipe":
        """This recipe with what the model and the corpus really are, to be written down."""
        return dataclasses.replace(
            self,
            source_language=languages[0],
            target_language=languages[1],
            precision=model.dtype_policy.name,
            vocabulary_size=model.vocabulary_size,
            shared_vocabulary=model.target_vocabulary_size is None,
            num_layers=model.num_layers,
            num_decoder_layers=model.num_decoder_layers or model.num_layers,
            d_model=model.d_model,
            num_heads=model.num_heads,
            d_ff=model.d_ff,
            dropout_rate=model.dropout_rate,
            norm=model.norm,
            positions=model.positions,
        )
