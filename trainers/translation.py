"""Trains a translator, from text to a run folder.

    python -m trainers.translation --config RECIPE --output RUN

Every option of `trainers/recipe.py` can stand in the recipe or on the command line; what stands
later wins.
"""

import contextlib
import dataclasses
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from keras_transformer import command_line
from trainers.recipe import Recipe

PROGRAM = "python -m trainers.translation"
AUTO_VOCABULARY = 8000


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return command_line.run(PROGRAM, lambda: train(read_recipe(arguments)))


def read_recipe(arguments: list[str]) -> Recipe:
    """The recipe that a command line makes, with its `--config` files."""
    from jsonargparse import ActionConfigFile

    parser = command_line.make_parser(PROGRAM, "Trains a translator, from text to a run folder.")
    parser.add_argument("--config", action=ActionConfigFile, help="A recipe, a YAML file.")
    parser.add_class_arguments(Recipe, as_group=False)
    arguments = command_line.with_underscores(arguments)
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, text = option.partition("=")
        if name == "--config":
            check_recipe_file(Path(text if equals else value))
    options = parser.parse_args(arguments)
    names = [field.name for field in dataclasses.fields(Recipe)]
    return Recipe(**{name: options[name] for name in names})


def check_recipe_file(path: Path) -> None:
    """Raises a `ValueError` that names the file unless it is YAML with options in it."""
    import yaml

    if not path.is_file():
        raise ValueError(
            f"There is no recipe {path}. Expected a YAML file, such as those in trainers/recipes."
        )
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not a recipe: {error} Expected plain YAML, UTF-8, one `option: value` a "
            "line."
        ) from error
    if not isinstance(options, dict):
        raise ValueError(
            f"{path} is not a recipe. Expected one `option: value` a line. Received: "
            f"{options!r:.80}"
        )
    names = [field.name for field in dataclasses.fields(Recipe)]
    for unknown in [name for name in options if name not in names]:
        raise ValueError(
            f"{path} has an option that there is not: {unknown}. Expected those that "
            f"`{PROGRAM} --help` lists."
        )


def train(recipe: Recipe) -> None:
    """Runs a recipe: text, batches, model, `fit`, the weights to use, the run folder."""
    import keras

    from trainers.corpora import open_corpora, write_held_out

    keras.utils.set_random_seed(recipe.seed)
    with _new_run_folder(recipe) as output:
        corpora = open_corpora(recipe)
        start = _load_start(recipe)
        tokenizers = (start.tokenizer, start.target_tokenizer) if start else None
        data = prepare(recipe, corpora, tokenizers or train_tokenizers(recipe, corpora), output)
        recipe = recipe.completed(len(data.batches.cache), data.batches.steps_per_epoch)
        translator = make_translator(recipe, data, start)
        write_held_out(corpora, output / "held_out")
        _write_recipe(recipe, output)
        translator.about |= describe(recipe, corpora, data)
        fit(recipe, translator, data, output)
        translator.save(output)
        print(f"Saved to {output}: {translator.about['weights']}.")


class Data(NamedTuple):
    """What a model is trained and judged on."""

    batches: object  # TokenBatches
    validation: object | None  # EvaluationBatches
    validation_text: list[tuple[str, str]]
    tokenizers: tuple


@contextlib.contextmanager
def _new_run_folder(recipe: Recipe) -> Iterator[Path]:
    """The run's folder; gone again if nothing came of the run before it was trained."""
    output = recipe.output
    if (output / "run.json").exists() and not recipe.overwrite:
        raise ValueError(
            f"{output} holds a finished run. Give another --output, or --overwrite true to replace "
            "it."
        )
    above = [output, *output.parents]
    for path in above:
        if path.exists() and not path.is_dir():
            raise ValueError(f"--output must be a folder; {path} is a file. Give another name.")
    missing = [path for path in above if not path.exists()]
    before = set(output.iterdir()) if output.exists() else set()
    try:
        yield output
    except BaseException:
        if not (output / "checkpoints").exists():
            _remove([missing[-1]] if missing else set(output.iterdir()) - before)
        raise


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _load_start(recipe: Recipe):
    """The finished run to go on from, if the recipe names one."""
    if recipe.init_from is None:
        return None
    from keras_transformer import Translator

    return Translator.load(recipe.init_from)


def train_tokenizers(recipe: Recipe, corpora) -> tuple:
    """Learns one vocabulary from both sides, or one from each."""
    if recipe.shared_vocabulary:
        tokenizer = train_tokenizer(recipe, lambda: corpora.train.sentences())
        return tokenizer, tokenizer
    return tuple(
        train_tokenizer(recipe, lambda side=side: (pair[side] for pair in corpora.train))
        for side in (0, 1)
    )


def train_tokenizer(recipe: Recipe, sentences):
    """Learns a vocabulary; if its size is left open, 8000 or what the text allows."""
    from keras_transformer import Tokenizer

    size = recipe.vocabulary_size or AUTO_VOCABULARY
    while True:
        try:
            return Tokenizer.train(
                sentences(), size, model_type=recipe.tokenizer_type, seed=recipe.seed
            )
        except ValueError as error:
            possible = re.search(r"the largest possible is (\d+)", str(error))
            if recipe.vocabulary_size or not possible:
                raise
            size = min(size // 2, int(possible[1]))


def prepare(recipe: Recipe, corpora, tokenizers: tuple, output: Path) -> Data:
    """Text to batches: filtered, tokenised, cached on disk."""
    from keras_transformer.data import EvaluationBatches, PairFilter, TokenBatches, TokenCache

    source, target = tokenizers
    filters = PairFilter(max_length=recipe.max_length, max_ratio=recipe.max_ratio or None)
    train = TokenCache.build(corpora.train, source, output / "tokens" / "train", filters, target)
    print(f"Training text:\n{train.report}", flush=True)
    batches = TokenBatches(train, recipe.tokens_per_batch, recipe.max_shapes, recipe.seed)
    if corpora.validation is None:
        print("No validation text: the last epochs' average will be used.")
        return Data(batches, None, [], tokenizers)
    everything = PairFilter(max_length=recipe.max_length, drop_duplicates=False)
    folder = output / "tokens" / "validation"
    validation = TokenCache.build(corpora.validation, source, folder, everything, target)
    print(f"Validation text:\n{validation.report}", flush=True)
    return Data(
        batches,
        EvaluationBatches(validation, recipe.tokens_per_batch, max_shapes=2),
        list(corpora.validation),
        tokenizers,
    )


def make_translator(recipe: Recipe, data: Data, start):
    """A fresh model of the recipe's sizes, or the one of the run to start from."""
    from keras_transformer import Transformer, Translator

    source, target = data.tokenizers
    if start is not None:
        start.max_source_length = max(start.max_source_length, recipe.max_length)
        return start
    model = Transformer.from_preset(
        recipe.preset,
        vocabulary_size=source.vocabulary_size(),
        target_vocabulary_size=None if target is source else target.vocabulary_size(),
        max_length=max(1024, recipe.max_length + 64),
        pad_id=source.pad_id,
        dtype=recipe.precision,
        **recipe.sizes(),
    )
    return Translator(
        model, source, None if target is source else target, max_source_length=recipe.max_length
    )


def describe(recipe: Recipe, corpora, data: Data) -> dict:
    """What a run folder tells of its making."""
    source_language, target_language = corpora.languages
    return {
        "source_language": source_language,
        "target_language": target_language,
        "corpus": recipe.corpus,
        "pairs": len(data.batches.cache),
        "data_fingerprint": data.batches.cache.fingerprint,
        "seed": recipe.seed,
    }


def fit(recipe: Recipe, translator, data: Data, output: Path) -> None:
    """Trains, and leaves the weights to use in the model: the best epoch's or the average."""
    import keras

    from keras_transformer import (
        Perplexity,
        TokenAccuracy,
        TokenCrossEntropy,
        TokenRate,
        WarmupSchedule,
    )

    model = translator.model
    schedule = WarmupSchedule(model.d_model, recipe.warmup_steps, recipe.learning_rate_scale)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9),
        loss=TokenCrossEntropy(recipe.label_smoothing, model.pad_id),
        metrics=[TokenAccuracy(model.pad_id), Perplexity(model.pad_id)],
        jit_compile=recipe.compile_with_xla,
    )
    choice = Choice(recipe, translator, data.validation_text, output / "checkpoints")
    print(f"{model.count_params():,} parameters, shapes {_shapes(data)}", flush=True)
    model.fit(
        data.batches.dataset(),
        steps_per_epoch=recipe.steps_per_epoch,
        epochs=recipe.epochs,
        shuffle=False,  # the batches are shuffled already
        validation_data=data.validation and data.validation.dataset(),
        callbacks=[TokenRate(), *choice.callbacks, *_watchers(recipe, output)],
        verbose=1 if sys.stdout.isatty() else 2,
    )
    translator.about["weights"] = choice.decide()


class Choice:
    """Which weights a run ends with: those of the best epoch, or the mean of the last ones."""

    def __init__(self, recipe: Recipe, translator, text: list[tuple[str, str]], folder: Path):
        from keras_transformer import BleuCallback, KeepCheckpoints

        self.model = translator.model
        self.best_path = folder / "best.weights.h5"
        self.checkpoints = KeepCheckpoints(folder, keep=max(1, recipe.averaged_checkpoints))
        self.averages = recipe.averaged_checkpoints > 1
        self.bleu = None
        if text:
            sources, references = map(list, zip(*text, strict=True))

            def translate(texts):
                return [translation.text for translation in translator.translate(texts)]

            self.bleu = BleuCallback(
                translate,
                sources,
                references,
                self.best_path,
                every=recipe.bleu_every,
                patience=recipe.patience,
            )

    @property
    def callbacks(self) -> list:
        """What `fit` is to call; BLEU first, so that others see it."""
        return [callback for callback in (self.bleu, self.checkpoints) if callback is not None]

    def decide(self) -> str:
        """Fills the model with the weights to use and says which they are."""
        from keras_transformer import average_checkpoints

        paths = self.checkpoints.paths()
        score, epoch = self.bleu.best if self.bleu else (float("-inf"), 0)
        if self.averages:
            average_checkpoints(self.model, paths)
            average = f"average of the last {len(paths)} epochs"
            if self.bleu is None:
                return average
            average_score = self.bleu.score()
            if average_score >= score:
                return f"{average}, validation BLEU {average_score:.2f}"
        if self.bleu is None:
            return "last epoch"
        self.model.load_weights(self.best_path)
        return f"epoch {epoch}, validation BLEU {score:.2f}"


def _watchers(recipe: Recipe, output: Path) -> list:
    """Callbacks that are Keras' own."""
    import keras

    callbacks = [keras.callbacks.TerminateOnNaN()]
    if recipe.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(output / "logs"))
    return callbacks


def _shapes(data: Data) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in data.batches.shapes)


def _write_recipe(recipe: Recipe, output: Path) -> None:
    import yaml

    values = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(recipe).items()
        if value is not None
    }
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    (output / "recipe.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
