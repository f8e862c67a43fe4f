"""Runs of older versions: their weights are read, whatever was renamed since."""

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer.translation import renamed_weights
from keras_transformer.translation.renamed_weights import with_current_paths
from trainers.resume import state_folder

OLD_RUN = Path(__file__).parent / "run_of_version_1"

LAYERS = {
    "feed_forward": [
        "hidden/vars/0",
        "hidden/vars/1",
        "output_projection/vars/0",
        "output_projection/vars/1",
    ],
    "feed_forward_residual": ["normalization/vars/0", "normalization/vars/1"],
    "self_attention": [f"{name}_projection/vars/0" for name in ("key", "output", "query", "value")],
    "self_attention_residual": ["normalization/vars/0", "normalization/vars/1"],
}
CROSS = {f"cross_{name[5:]}": paths for name, paths in LAYERS.items() if name.startswith("self_")}


def paths_of(layers, *tops):
    return [f"{top}/{layer}/{path}" for top in tops for layer in layers for path in layers[layer]]


def datasets(path):
    """The paths of all arrays of a file, with their shapes."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item.shape}) if hasattr(item, "shape") else None
        )
    return found


def test_paths_of_weights_are_these(tmp_path):
    """A rename changes one of them, and wants a line in the table and a new format version."""
    model = kt.Transformer(
        11, num_layers=2, num_decoder_layers=1, d_model=6, num_heads=2, d_ff=5,
        norm="pre", positions="learned", target_vocabulary_size=13, max_length=7,
    )  # fmt: skip
    model.build()
    model.save_weights(tmp_path / "model.weights.h5")
    expected = [
        *paths_of(LAYERS, "encoder/blocks/encoder_block", "encoder/blocks/encoder_block_1"),
        *paths_of({**CROSS, **LAYERS}, "decoder/blocks/decoder_block"),
        *(
            f"{stack}/final_normalization/vars/{n}"
            for stack in ("encoder", "decoder")
            for n in (0, 1)
        ),
        *(
            f"layers/positional_embedding{side}/{table}/vars/0"
            for side in ("", "_1")
            for table in ("tokens", "learned_positions")
        ),
    ]
    found = datasets(tmp_path / "model.weights.h5")
    assert sorted(name for name, shape in found.items() if shape != (2,)) == sorted(expected)


@pytest.mark.slow
def test_a_run_of_version_1_translates_as_it_did(without_xla):
    expected = json.loads((OLD_RUN / "expected.json").read_text(encoding="utf-8"))
    translator = kt.Translator.load(OLD_RUN)
    texts, *_ = zip(*expected["translations"], strict=True)
    found = translator.translate(list(texts), beam_size=3, top_beams=2)
    for (_, *hypotheses), translation in zip(expected["translations"], found, strict=True):
        assert [one.text for one in translation.hypotheses] == [text for text, _ in hypotheses]
        scores = [one.score for one in translation.hypotheses]
        np.testing.assert_allclose(scores, [score for _, score in hypotheses], atol=1e-5)
    sources, targets, log_probs = zip(*expected["log_probs"], strict=True)
    found = [one.log_prob for one in translator.score(list(sources), list(targets))]
    np.testing.assert_allclose(found, log_probs, atol=1e-5)


def test_saved_again_it_is_of_this_version(tmp_path):
    kt.Translator.load(OLD_RUN).save(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["format_version"] == 4
    new = datasets(tmp_path / "model.weights.h5")
    assert "encoder/blocks/encoder_block/self_attention_residual/normalization/vars/0" in new
    with with_current_paths(OLD_RUN / "model.weights.h5", 1) as renamed:
        assert datasets(renamed) == new
    assert datasets(OLD_RUN / "model.weights.h5") != new
    with with_current_paths(tmp_path / "model.weights.h5", 2) as same:
        assert same == tmp_path / "model.weights.h5"


def test_what_was_renamed_twice_has_its_last_name(monkeypatch):
    again = {2: [(r"/self_attention_residual$", "/renamed_again")]}
    monkeypatch.setattr(renamed_weights, "RENAMED", {**renamed_weights.RENAMED, **again})
    with with_current_paths(OLD_RUN / "model.weights.h5", 1) as renamed:
        found = datasets(renamed)
    assert "encoder/blocks/encoder_block/renamed_again/normalization/vars/0" in found
    assert not [name for name in found if "attention_residual/" in name and "cross" not in name]
    with with_current_paths(OLD_RUN / "model.weights.h5", 2) as renamed:
        assert "encoder/blocks/encoder_block/attention_residual/normalization/vars/0" in datasets(
            renamed
        )


def test_a_state_of_version_1_is_refused_by_name():
    path = re.escape(str(OLD_RUN / "checkpoints" / "state-00000003.npz"))
    with pytest.raises(
        kt.StateError, match=f"^{path} has format 1; this package reads 2. Continue"
    ):
        state_folder(OLD_RUN).newest()
