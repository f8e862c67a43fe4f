from pathlib import Path

import pytest

from trainers.corpora import open_corpora
from trainers.recipe import Recipe


@pytest.mark.parametrize("corpus", ["phrasebook", "tfds:no_such_thing/de-en"])
@pytest.mark.parametrize("option", ["train_source", "train_tsv", "validation_target"])
def test_files_beside_a_corpus_that_has_its_own_text_are_refused(corpus, option):
    recipe = Recipe(output=Path("run"), corpus=corpus, **{option: "mine.txt"})
    message = rf"^corpus {corpus} has its own text\. Received: {option}=mine\.txt\. Give --corpus f"
    with pytest.raises(ValueError, match=message):
        open_corpora(recipe)
