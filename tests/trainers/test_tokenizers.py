"""The vocabularies that a run's folder holds."""

from keras_transformer import Tokenizer
from trainers.tokenizers import load_tokenizers, save_tokenizers


def test_one_for_both_takes_the_place_of_two(tmp_path):
    one, other, both = (
        Tokenizer.train([text], size, model_type="bpe")
        for text, size in (("one two", 271), ("un deux", 269), ("one un two deux", 277))
    )
    for pair in ((one, other), (both, both)):
        save_tokenizers(tmp_path, pair)
        found = load_tokenizers(tmp_path)
        assert [each.model for each in found] == [each.model for each in pair]
