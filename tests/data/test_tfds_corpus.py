import pytest

from keras_transformer.data import TfdsCorpus, TokenCache

tfds = pytest.importorskip("tensorflow_datasets", reason="tensorflow-datasets is not installed")

PAIRS = [(f"a cat {number}", f"eine Katze {number} ß") for number in range(101)]


class SmallTranslation(tfds.core.GeneratorBasedBuilder):
    """A data set of 101 pairs, and 7 for validation."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = (tfds.core.BuilderConfig(name="en_to_de"),)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Pairs.",
            features=tfds.features.Translation(languages=("en", "de")),
            supervised_keys=("en", "de"),
            disable_shuffling=True,
        )

    def _split_generators(self, _):
        return {"train": self._pairs(PAIRS), "validation": self._pairs(PAIRS[:7])}

    def _generate_examples(self):
        raise NotImplementedError

    @staticmethod
    def _pairs(pairs):
        for number, (english, german) in enumerate(pairs):
            yield number, {"en": english, "de": german}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    SmallTranslation(config="en_to_de", data_dir=folder).download_and_prepare()
    return folder


@pytest.mark.parametrize("prefix", ["", "tfds:"])
def test_a_prepared_data_set_is_read_in_order(data_dir, prefix):
    corpus = TfdsCorpus(f"{prefix}small_translation/en_to_de", "train", "en", "de", data_dir)
    assert list(corpus) == list(corpus) == PAIRS
    assert [entry.line for entry in corpus.entries()] == list(range(1, 102))


def test_languages_and_splits_are_chosen(data_dir):
    name = "small_translation/en_to_de"
    turned = TfdsCorpus(name, "validation", "de", "en", data_dir)
    assert list(turned) == [(german, english) for english, german in PAIRS[:7]]
    assert list(TfdsCorpus(name, "train[:11]", "en", "de", data_dir)) == PAIRS[:11]


def test_the_fingerprint_follows_what_is_read(data_dir):
    name = "small_translation/en_to_de"
    choices = [("train", "en", "de"), ("validation", "en", "de"), ("train", "de", "en")]
    prints = {TfdsCorpus(name, *choice, data_dir).fingerprint() for choice in choices}
    assert len(prints) == 3
    assert TfdsCorpus(name, *choices[0], data_dir).fingerprint() in prints


def test_it_becomes_a_token_cache(data_dir, tokenizer, tmp_path):
    corpus = TfdsCorpus("small_translation/en_to_de", "train", "en", "de", data_dir)
    cache = TokenCache.build(corpus, tokenizer, tmp_path / "cache")
    assert len(cache) == 101
    assert tokenizer.detokenize(cache.target(53)) == PAIRS[53][1]


def test_an_unknown_language_or_split_is_named(data_dir):
    name = "small_translation/en_to_de"
    with pytest.raises(ValueError, match=r"has no language 'fr'\. Expected one of: 'en', 'de'$"):
        TfdsCorpus(name, "train", "en", "fr", data_dir)
    with pytest.raises(
        ValueError, match=r"no pairs in split 'test'\. Expected one of: 'train', 'v"
    ):
        TfdsCorpus(name, "test", "en", "de", data_dir)


def test_an_unknown_name_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"^tensorflow-datasets has no 'no_such_thing/a'") as e:
        TfdsCorpus("tfds:no_such_thing/a", "train", "en", "de", tmp_path)
    assert "\n" not in str(e.value)


class Unreachable(SmallTranslation):
    """A data set whose server does not answer."""

    def _split_generators(self, _):
        raise ConnectionError("no route\nto host")


def test_what_can_be_neither_found_nor_fetched_is_an_error(tmp_path):
    message = (
        r"^tfds:unreachable/en_to_de is not prepared under .* downloaded: ConnectionError: no r"
    )
    with pytest.raises(ValueError, match=message) as caught:
        TfdsCorpus("unreachable/en_to_de", "train", "en", "de", tmp_path)
    assert "\n" not in str(caught.value)
