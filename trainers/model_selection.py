"""Which weights a run ends with."""

from pathlib import Path

from trainers.recipe import Recipe


class ModelSelection:
    """The weights of the epoch with the best validation BLEU, or the mean of the last epochs."""

    def __init__(
        self, recipe: Recipe, translator, text: list[tuple[str, str]], folder: Path, devices
    ):
        from keras_transformer import BleuCallback, KeepCheckpoints

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

            self.bleu = BleuCallback(
                translate,
                sources,
                references,
                self.best_path,
                every=recipe.bleu_every,
                patience=recipe.patience,
                workers=devices,
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
        if self.averages and len(paths) > 1:
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
