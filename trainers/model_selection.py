"""Selection of the final weights of a run."""

from pathlib import Path

from trainers.recipe import Recipe


class ModelSelection:
    """Selects between the epoch of the best validation score and checkpoint averaging.

    The score is BLEU, or chrF2 for validation texts that are too short for BLEU.

    Checkpoint averaging is the mean of the weights of the last epochs. Without validation text
    the average is used, or the last epoch if averaging is disabled.

    Args:
        recipe: `Recipe`.
        translator: `Translator` with the model in training.
        text: Validation pairs; may be empty.
        parts: Names of several validation texts, and how many of the pairs each has.
        folder: Folder of the checkpoints.
        devices: `Devices`.
    """

    def __init__(
        self,
        recipe: Recipe,
        translator,
        text: list[tuple[str, str]],
        folder: Path,
        devices,
        parts: dict[str, int] | None = None,
    ):
        from keras_transformer import BleuCallback, KeepCheckpoints, make_bleu

        self.model = translator.model
        self.best_path = folder / "best.weights.h5"
        self.checkpoints = KeepCheckpoints(
            folder, keep=max(1, recipe.averaged_checkpoints), write=devices.is_chief
        )
        self.averages = recipe.averaged_checkpoints > 1
        self.bleu = None
        if text:
            sources, references = map(list, zip(*text, strict=True))

            def translate(texts):
                return [
                    translation.text for translation in translator.translate(texts, beam_size=1)
                ]

            language, metric = translator.about["target_language"], None
            if not parts or recipe.bleu_tokenizer != "auto":  # else each has its own
                metric = make_bleu(recipe.bleu_tokenizer, language, references)
            self.bleu = BleuCallback(
                translate,
                sources,
                references,
                self.best_path,
                every=recipe.bleu_every,
                patience=recipe.patience,
                workers=devices,
                metric=metric,
                parts=parts,
            )

    @property
    def callbacks(self) -> list:
        """Callbacks for `fit`; BLEU comes first, so that later callbacks see `val_bleu`."""
        return [callback for callback in (self.bleu, self.checkpoints) if callback is not None]

    def select_weights(self) -> str:
        """Loads the selected weights into the model and returns a description of them."""
        from keras_transformer import average_checkpoints

        paths = self.checkpoints.paths()
        if self.averages and len(paths) > 1:
            average_checkpoints(self.model, paths)
            average = f"average of the last {len(paths)} epochs"
            if self.bleu is None:
                return average
            scores = self.bleu.score()
            if self.bleu.rank(scores) >= self.bleu.rank(self.bleu.best[0]):
                return f"{average}, validation {self.bleu.describe(scores)}"
        if self.bleu is None:
            return "last epoch"
        average_checkpoints(self.model, [self.best_path])
        scores, epoch = self.bleu.best
        return f"epoch {epoch}, validation {self.bleu.describe(scores)}"
