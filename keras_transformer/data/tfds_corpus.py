"""Corpora from tensorflow-datasets."""

import os
from collections.abc import Iterator

from keras_transformer.data.corpora import Corpus, Entry
from keras_transformer.data.parallel_files import NOT_UTF8
from keras_transformer.forking import refused_after_fork


class TfdsCorpus(Corpus):
    """A translation data set of tensorflow-datasets, downloaded if it is not prepared.

    Args:
        name: Name of the data set with its configuration, `"ted_hrlr_translate/ru_to_en"`, with
            or without `"tfds:"` before it.
        split: Name of a split, `"train"`, or a slice of one, `"train[:10%]"`.
        source_language: Key of the source sentence, `"ru"`.
        target_language: Key of the target sentence, `"en"`.
        data_dir: Folder of prepared data sets; the default of tensorflow-datasets if `None`.

    Raises:
        ValueError: There is no such data set, split or language, or the data set is not prepared
            and cannot be downloaded.
    """

    def __init__(
        self,
        name: str,
        split: str,
        source_language: str,
        target_language: str,
        data_dir: str | os.PathLike | None = None,
    ):
        self.name = name.removeprefix("tfds:")
        self.split = split
        self.source_language = source_language
        self.target_language = target_language
        self.data_dir = data_dir
        self._builder = _prepared_builder(self.name, data_dir)
        self._check_languages()
        self._check_split()

    def _check_languages(self) -> None:
        features = self._builder.info.features
        languages = list(features) if hasattr(features, "keys") else []
        for language in (self.source_language, self.target_language):
            if language not in languages:
                raise ValueError(
                    f"tfds:{self.name} has no language {language!r}. Expected one of: "
                    f"{', '.join(map(repr, languages))}"
                )

    def _check_split(self) -> None:
        splits = self._builder.info.splits
        try:
            size = splits[self.split].num_examples
        except (KeyError, ValueError):
            size = 0
        if not size:
            raise ValueError(
                f"tfds:{self.name} has no pairs in split {self.split!r}. Expected one of: "
                f"{', '.join(map(repr, splits))}, or a slice of one."
            )

    @refused_after_fork
    def entries(self) -> Iterator[Entry]:
        import tensorflow_datasets as tfds

        read_config = tfds.ReadConfig(  # a deterministic order
            interleave_cycle_length=1, try_autocache=False, add_tfds_id=False
        )
        dataset = self._builder.as_dataset(
            split=self.split, shuffle_files=False, read_config=read_config
        )
        for line, example in enumerate(tfds.as_numpy(dataset), start=1):
            try:
                source = example[self.source_language].decode("utf-8")
                target = example[self.target_language].decode("utf-8")
            except UnicodeDecodeError:
                yield Entry(line, "", "", NOT_UTF8)
                continue
            yield Entry(line, source, target)

    def fingerprint(self) -> str:
        info = self._builder.info
        sizes = [
            (name, *split.shard_lengths, split.num_bytes) for name, split in info.splits.items()
        ]
        return repr((info.full_name, sizes, self.split, self.source_language, self.target_language))


@refused_after_fork
def _prepared_builder(name: str, data_dir: str | os.PathLike | None):
    """Returns the builder of a data set, after preparing the data set if necessary."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # unknown names, configurations and versions raise different types
        raise ValueError(
            f"tensorflow-datasets has no {name!r} (data_dir={data_dir}): {_first_line(error)} "
            "Expected NAME/CONFIG of a translation data set."
        ) from None
    if not builder.is_prepared():
        try:
            builder.download_and_prepare()
        except Exception as error:  # any network, server or disk error
            raise ValueError(
                f"tfds:{name} is not prepared under {builder.data_dir} and cannot be downloaded: "
                f"{_first_line(error)} Prepare it on a machine with network access and pass its "
                "data_dir."
            ) from error
    return builder


def _first_line(error: Exception) -> str:
    """Returns the type of an error and the first line of its message."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200].rstrip('.')}."
