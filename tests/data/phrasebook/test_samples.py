"""`samples.tsv` shows what the corpus is like; `python tests/data/phrasebook/test_samples.py`
writes it anew."""

from pathlib import Path
from random import Random

from keras_transformer.data.phrasebook import phrasebook

SAMPLES = Path(__file__).with_name("samples.tsv")


def sample_lines(corpus):
    """Draws 200 pairs: the set, the pattern, English, French."""
    random = Random(0)
    sets = {"train": (corpus.train, 140), "everyday": (corpus.held_out["everyday"], 30),
            "coreference": (corpus.held_out["coreference"], 30)}  # fmt: skip
    for name, (pairs, count) in sets.items():
        for source, target in random.sample(pairs, count):
            yield "\t".join((name, corpus.patterns[source], source, target))


def test_the_committed_samples_are_those_of_the_corpus(corpus):
    committed = SAMPLES.read_text(encoding="utf-8").splitlines()
    assert len(committed) == 200
    assert committed == list(sample_lines(corpus))


if __name__ == "__main__":
    SAMPLES.write_text("\n".join(sample_lines(phrasebook(seed=0))) + "\n", encoding="utf-8")
