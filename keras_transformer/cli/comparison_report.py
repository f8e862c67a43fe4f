"""Report of a comparison of systems: a table, and a JSON file."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from keras_transformer.cli.inputs import System
from keras_transformer.io import atomic_write
from keras_transformer.training.comparison import RESAMPLES, SEED, TRIALS, compare
from keras_transformer.training.evaluation import exact_match, moses_bleu, word_agreement

LEGEND = (
    f"±: half of the 95 % confidence interval, from {RESAMPLES:,} bootstrap resamples. p: paired "
    f"bootstrap resampling ({RESAMPLES:,} resamples) and paired approximate randomization "
    f"({TRIALS:,} trials) against the first system. Seed {SEED}."
)


def assess(
    systems: Sequence[System], references: Sequence[str], words: Sequence[str], moses: str, bleu
) -> list[dict]:
    """Returns all results of each system, as they stand in the JSON file."""
    measured = compare([system.translations for system in systems], references, bleu)
    results = []
    for system, measures in zip(systems, measured, strict=True):
        texts = system.translations
        result = {
            "name": system.name,
            "kind": system.kind,
            "exact_match": exact_match(texts, references),
            "metrics": {name: dataclasses.asdict(one) for name, one in measures.items()},
        }
        if words:
            percent, count = word_agreement(texts, references, words)
            result["words"] = {"words": list(words), "agreement": percent, "sentences": count}
        if moses:
            result["moses_bleu"] = moses_bleu(texts, references, moses).score
        results.append(result)
    return results


def table(results: Sequence[dict]) -> list[str]:
    """Returns the lines of a table of results, with a legend and the signatures."""
    metrics = results[0]["metrics"]
    extra = [name for name in ("moses_bleu", "words") if name in results[0]]
    titles = {"moses_bleu": "BLEU, Moses tokens", "words": "words"}
    head = ["system", *metrics, "exact match", *(titles[name] for name in extra)]
    rows = [head, *(_row(result, extra) for result in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    signatures = [f"{name}: {measure['signature']}" for name, measure in metrics.items()]
    return [*lines, LEGEND, *signatures]


def _row(result: dict, extra: list[str]) -> list[str]:
    cells = [result["name"], *map(_cell, result["metrics"].values())]
    cells.append(f"{result['exact_match']:.2f} %")
    if "moses_bleu" in extra:
        cells.append(f"{result['moses_bleu']:.2f}")
    if "words" in extra:
        cells.append(f"{result['words']['agreement']:.2f} %")
    return cells


def _cell(measure: dict) -> str:
    cell = f"{measure['score']:.2f} ± {measure['interval']:.2f}"
    if measure["bootstrap_p"] is None:
        return cell
    return f"{cell} (p {measure['bootstrap_p']:.4f}, {measure['randomization_p']:.4f})"


def write_json(path: Path, results: dict) -> None:
    """Writes results to a file, which appears whole or not at all."""
    with atomic_write(path) as scratch:
        text = json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False)
        scratch.write_text(text + "\n", encoding="utf-8")


def tests() -> dict:
    """Returns the settings of the significance tests, for the JSON file."""
    return {
        "paired_bootstrap": {"resamples": RESAMPLES, "seed": SEED, "confidence": 0.95},
        "paired_approximate_randomization": {"trials": TRIALS, "seed": SEED},
    }
