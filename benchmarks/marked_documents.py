"""Documents of the phrasebook's sentences, one of which is marked: the data of
`benchmarks.documents`."""

import dataclasses

import numpy as np

MARKS = ("<0x02>", "<0x03>")  # start and end of text, bytes that no sentence has


@dataclasses.dataclass(frozen=True)
class TokenPairs:
    """Pairs of sentences as ids, without special ids.

    Attributes:
        sources: List of lists of ids.
        targets: List of lists of ids.
        marks: Ids that stand before and after the sentence to translate.
        bos_id: Id at the start of each target.
        eos_id: Id at the end of each document and each target.
    """

    sources: list
    targets: list
    marks: tuple
    bos_id: int
    eos_id: int

    @classmethod
    def of_texts(cls, pairs, tokenizer, target_tokenizer):
        """Tokenizes pairs of texts."""
        sources, targets = map(list, zip(*pairs, strict=True))
        known = {tokenizer.id_to_token(id): id for id in range(tokenizer.vocabulary_size())}
        marks = tuple(known[mark] for mark in MARKS)
        ids = tokenizer.tokenize(sources), target_tokenizer.tokenize(targets)
        return cls(*ids, marks, target_tokenizer.bos_id, tokenizer.eos_id)

    def longest(self, sentences):
        """Returns a length of documents of so many sentences that few are longer than."""
        lengths = np.array([len(ids) for ids in self.sources])
        spread = 3 * lengths.std() * sentences**0.5 if sentences > 1 else lengths.max()
        return int(np.ceil((sentences * lengths.mean() + spread + 3) / 16) * 16)


def make_document(pairs, generator, sentences, length):
    """Returns a document of random sentences, of which one is marked, and its translation.

    Args:
        pairs: `TokenPairs`.
        generator: NumPy random generator.
        sentences: Integer. Number of sentences.
        length: Integer. Maximum number of tokens; sentences at the end are left out.

    Returns:
        The ids of the document, EOS included; the ids of the translation, without BOS and EOS.
    """
    chosen = generator.integers(len(pairs.sources), size=sentences)
    room = length - 1 - len(pairs.marks)
    kept = int(np.searchsorted(np.cumsum([len(pairs.sources[n]) for n in chosen]), room, "right"))
    marked = int(generator.integers(max(kept, 1)))
    document = []
    for place, number in enumerate(chosen[: max(kept, 1)]):
        ids = pairs.sources[number]
        document += [pairs.marks[0], *ids, pairs.marks[1]] if place == marked else ids
    return [*document, pairs.eos_id], pairs.targets[chosen[marked]]


def make_batch(pairs, generator, documents, sentences, length, target_length):
    """Returns a batch of documents: inputs and labels, padded with 0 to fixed lengths."""
    source = np.zeros((documents, length), "int32")
    target, labels = np.zeros((2, documents, target_length), "int32")
    for row in range(documents):
        document, translation = make_document(pairs, generator, sentences, length)
        source[row, : len(document)] = document
        target[row, : len(translation) + 1] = [pairs.bos_id, *translation]
        labels[row, : len(translation) + 1] = [*translation, pairs.eos_id]
    return {"source": source, "target": target}, labels
