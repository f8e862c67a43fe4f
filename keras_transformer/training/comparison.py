"""Comparison of translation systems: BLEU, chrF and TER, with paired significance tests."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence

from keras_transformer.training.bleu import make_bleu

SEED = 12345  # sacreBLEU's default
RESAMPLES = 1000  # of paired bootstrap resampling
TRIALS = 10_000  # of paired approximate randomization
_SEED_VARIABLE = "SACREBLEU_SEED"
_WITHOUT_SPACES = ("zh", "ja-mecab", "char")  # tokenizers of scripts that TER has to split, too


@dataclasses.dataclass(frozen=True)
class Measure:
    """A score of a system, and whether it differs from that of the first system by chance.

    Attributes:
        score: The score.
        signature: sacreBLEU's signature of the score.
        mean: Mean of the scores of bootstrap resamples.
        interval: Half the width of their 95 % confidence interval.
        bootstrap_p: p-value by paired bootstrap resampling. `None` for the first system; 1 for
            another one with the same translations, for which sacreBLEU returns the lowest.
        randomization_p: p-value by paired approximate randomization. `None` for the first system.
    """

    score: float
    signature: str
    mean: float
    interval: float
    bootstrap_p: float | None = None
    randomization_p: float | None = None


def compare(
    systems: Sequence[Sequence[str]], references: Sequence[str], bleu=None
) -> list[dict[str, Measure]]:
    """Compares the translations of systems by BLEU, chrF and TER.

    The significance tests are those of sacreBLEU, with `SEED`, `RESAMPLES` and `TRIALS`. Both
    compare each system with the first.

    Args:
        systems: The translations of each system.
        references: Reference translations.
        bleu: A `sacrebleu.BLEU`; `None` chooses one by the script of the references.

    Returns:
        A dict of the name of a metric, such as "BLEU", to its `Measure`, for each system.

    Raises:
        ValueError: A system has not one translation per reference, or there is none.

    Example:

    >>> first, second = compare([["je suis étudiant"], ["je suis"]], ["je suis étudiant"])
    >>> first["TER"].score, round(second["TER"].score, 1)
    (0.0, 33.3)
    """
    for translations in systems:
        if len(translations) != len(references) or not references:
            raise ValueError(
                "There must be one translation per reference, and at least one. "
                f"Received: {len(translations)} translations for {len(references)} references"
            )
    bootstrap = _paired_test("bs", RESAMPLES, systems, references, bleu)[1]
    signatures, randomization = _paired_test("ar", TRIALS, systems, references, bleu)
    measured = []
    for number, translations in enumerate(systems):
        same = number > 0 and list(translations) == list(systems[0])
        measured.append(
            {
                name: _measure(results[number], randomization[name][number], signatures[name], same)
                for name, results in bootstrap.items()
            }
        )
    return measured


def _measure(resampled, randomized, signature: str, same: bool) -> Measure:
    """Joins the results of both tests, of a system that may be the same as the first."""
    p_values = (1.0, 1.0) if same else (resampled.p_value, randomized.p_value)
    mean, interval = float(resampled.mean), float(resampled.ci)
    return Measure(resampled.score, signature, mean, interval, *p_values)


def _paired_test(kind: str, samples: int, systems, references, bleu):
    """Returns the signature, and the results of all systems, of each metric."""
    from sacrebleu.significance import PairedTest

    named = [(str(number), list(translations)) for number, translations in enumerate(systems)]
    metrics = _metrics(bleu or make_bleu(references=references), list(references))
    with _fixed_seed():
        test = PairedTest(named, metrics, [list(references)], kind, samples)
        _, results = test()
    signatures = {name: str(metric.get_signature()) for name, metric in test.metrics.items()}
    return signatures, {name: results[name] for name in signatures}


def _metrics(bleu, references: list[str]) -> dict:
    import sacrebleu

    bleu.corpus_score(references, [references])  # it has no signature before
    splits = bleu.get_signature().info["tok"] in _WITHOUT_SPACES
    ter = sacrebleu.TER(normalized=splits, asian_support=splits)
    return {"BLEU": bleu, "chrF": sacrebleu.CHRF(), "TER": ter}


@contextlib.contextmanager
def _fixed_seed() -> Iterator[None]:
    """Sets the variable by which sacreBLEU takes its seed."""
    before = os.environ.get(_SEED_VARIABLE)
    os.environ[_SEED_VARIABLE] = str(SEED)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SEED_VARIABLE]
        else:
            os.environ[_SEED_VARIABLE] = before
