"""The option --rescore: another run chooses among the translations that a run found."""

from keras_transformer.io import path_or_url


def check_rescoring(run: str, candidates: int, sample: bool = False) -> None:
    """Raises an error unless a run can choose among candidates. This reads no weights.

    Args:
        run: Folder or URL of the option, or "" for none.
        candidates: Number of translations of each text to choose among.
        sample: Whether they are drawn at random.

    Raises:
        RunError: It is not a finished run of a translator.
        ValueError: There is nothing to choose.
    """
    from keras_transformer.translation.run_folder import check_translator

    if not run:
        return
    if candidates < 2:
        option = "--top-beams" if sample else "--beam-size"
        raise ValueError(
            f"--rescore needs translations to choose among: give {option} 2 or more. "
            f"Received: {candidates}"
        )
    check_translator(path_or_url(run))


def make_rescorer(run: str, length_penalty: float):
    """Returns a function of texts and their translations, which ranks their hypotheses.

    Without a run, it returns the translations as they are.
    """
    from keras_transformer import Translator, rescore

    if not run:
        return lambda texts, translations: translations
    scorer = Translator.load(path_or_url(run))
    return lambda texts, translations: rescore(scorer, texts, translations, length_penalty)
