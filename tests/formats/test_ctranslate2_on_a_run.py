"""CTranslate2 and this package on trained runs: the same scores, the same translations.

Runs are not part of the repository. The environment names those that are there:

KERAS_TRANSFORMER_PHRASEBOOK_RUN   a run of the phrasebook recipe
KERAS_TRANSFORMER_MULTI30K_RUN     a run of the Multi30k recipe, English to German
KERAS_TRANSFORMER_MULTI30K         the folder with Multi30k's text
"""

import dataclasses
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import sacrebleu

from keras_transformer import Translator
from keras_transformer.formats import export_ctranslate2

ctranslate2 = pytest.importorskip("ctranslate2")
pytestmark = pytest.mark.slow

MARGIN = 1e-3  # a difference in log-probability that float32 may decide either way


@dataclasses.dataclass(frozen=True)
class Run:
    """A run on both sides, and text that it was not trained on."""

    translator: Translator
    other: object
    sources: list
    references: list

    def source_pieces(self):
        return pieces(self.translator.tokenizer, self.sources)

    def translated(self, **options):
        """CTranslate2's best hypotheses, as tokens.

        By its default a translation has at least one token, and the first step's probabilities are
        renormalized without EOS. With a minimum of 0 it searches by our rule.
        """
        options |= {"min_decoding_length": 0, "max_decoding_length": 256}
        results = self.other.translate_batch(self.source_pieces(), max_batch_size=64, **options)
        return [result.hypotheses[0] for result in results]

    def as_text(self, rows):
        tokenizer = self.translator.target_tokenizer
        return tokenizer.detokenize([[tokenizer.token_to_id(t) for t in row] for row in rows])


def pieces(tokenizer, texts):
    return [[tokenizer.id_to_token(id) for id in row] for row in tokenizer.tokenize(texts)]


def place(variable):
    if not os.environ.get(variable):
        pytest.skip(f"{variable} names no folder: a finished run, or Multi30k's texts")
    return Path(os.environ[variable])


def lines(path):
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return content.decode("utf-8").removesuffix("\n").split("\n")


def phrasebook():
    folder = place("KERAS_TRANSFORMER_PHRASEBOOK_RUN")
    return folder, [lines(folder / "held_out" / f"everyday.{side}")[:200] for side in ("en", "fr")]


def multi30k():
    folder, data = place("KERAS_TRANSFORMER_MULTI30K_RUN"), place("KERAS_TRANSFORMER_MULTI30K")
    return folder, [lines(data / f"test_2016_flickr.{side}.gz") for side in ("en", "de")]


@pytest.fixture(scope="module", params=[phrasebook, multi30k], ids=["phrasebook", "multi30k"])
def run(request, tmp_path_factory):
    folder, (sources, references) = request.param()
    translator = Translator.load(folder)
    exported = tmp_path_factory.mktemp("exported") / "ct2"
    export_ctranslate2(translator, exported)
    other = ctranslate2.Translator(str(exported), compute_type="float32")
    return Run(translator, other, sources, references)


def test_scores_are_equal(run):
    ours = run.translator.score(run.sources, run.references)
    theirs = run.other.score_batch(
        run.source_pieces(), pieces(run.translator.target_tokenizer, run.references)
    )
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(their.log_probs, our.token_log_probs, atol=1e-4)


def test_greedy_translations_are_equal(run):
    """But for ties: what differs was decided by less than float32 can tell."""
    ours = [
        [piece for piece in one.hypotheses[0].tokens if piece != "</s>"]
        for one in run.translator.translate(run.sources, beam_size=1)
    ]
    theirs = run.translated(beam_size=1)
    different = [n for n, row in enumerate(ours) if row != theirs[n]]
    margins = [margin(run.translator, run.sources[n], ours[n], theirs[n]) for n in different]
    print(f"{len(different)} of {len(ours)} differ, margins {margins}")
    assert len(different) <= 0.01 * len(ours)
    assert max(margins, default=0.0) < MARGIN


def margin(translator, source, ours, theirs):
    """How much more probable our token is than theirs where two translations part."""
    tokenizer = translator.target_tokenizer
    ours, theirs = (
        [*(tokenizer.token_to_id(token) for token in row), tokenizer.eos_id]
        for row in (ours, theirs)
    )
    first = next(n for n, pair in enumerate(zip(ours, theirs, strict=False)) if len({*pair}) == 2)
    inputs = {
        "source": np.array([[*translator.tokenizer.tokenize(source), translator.tokenizer.eos_id]]),
        "target": np.array([[tokenizer.bos_id, *ours[:first]]]),
    }
    logits = np.asarray(translator.model(inputs))[0, first]
    return float(abs(logits[ours[first]] - logits[theirs[first]]))


def test_beams_find_translations_as_good(run):
    """Mostly the same ones; of two different ones, ours is the more probable.

    Without length penalty a few of the most probable translations are far too short, or empty.
    """
    ours = [one.text for one in run.translator.translate(run.sources, 4, length_penalty=0.0)]
    theirs = run.as_text(run.translated(beam_size=4, length_penalty=0.0))
    scores = [sacrebleu.corpus_bleu(texts, [run.references]).score for texts in (ours, theirs)]
    different = [n for n, our in enumerate(ours) if our != theirs[n]]
    empty = [sum(not text for text in texts) for texts in (ours, theirs)]
    print(f"BLEU {scores[0]:.3f} here, {scores[1]:.3f} there, {len(different)} different")
    print(f"{empty[0]} empty here, {empty[1]} there")
    assert len(different) <= 0.03 * len(ours)
    if different:
        sources = [run.sources[n] for n in different]
        found, others = (
            run.translator.score(sources, [texts[n] for n in different]) for texts in (ours, theirs)
        )
        for our, their in zip(found, others, strict=True):
            assert our.log_prob >= their.log_prob - 1e-4
