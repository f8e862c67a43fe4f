"""Lexical shortlists: the search chooses among the likely translations of the source's tokens."""

import dataclasses
import os
import struct
import zipfile
import zlib
from typing import NamedTuple

import numpy as np
from keras import ops

SPECIALS = 3  # padding, BOS and EOS, which are chosen first
DAMAGED = (EOFError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)
DAMAGED += (struct.error, zipfile.BadZipFile, zlib.error)


@dataclasses.dataclass(frozen=True, eq=False)
class Shortlist:
    """A rule that chooses the few token ids which the translation of a sentence may consist of.

    The output layer and the search then compute a few hundred logits instead of those of the whole
    vocabulary. Probabilities are relative to the chosen ids. Every sentence has its own, so that
    its translation does not depend on the other sentences of a batch.

    Chosen are, until there are as many as `frequent` has: the special ids, the prefix, the first
    `num_frequent` of the frequent ids, the best candidate of each source token, their second
    candidates, and so on, and the other frequent ids.

    Section 2.2 in [Devlin, 2017](https://arxiv.org/abs/1705.01991), and section 3.2 in
    [Kim et al., 2019](https://aclanthology.org/D19-5632).

    Args:
        candidates: Integer array of shape `(V_source, K)`: the K best target ids of each source id,
            best first. Where there are fewer, any frequent id fills the row.
        frequent: Integer array of shape `(M,)`: different target ids, the most frequent first. M
            is the number of ids to choose.
        num_frequent: Integer. Number of frequent ids that are always chosen.

    Raises:
        ValueError: The arrays have other shapes or types, negative ids, or frequent ids that occur
            twice or are too few.

    Example:

    >>> shortlist = Shortlist(np.array([[0], [0], [0], [8], [9]]), np.array([5, 6, 7, 4, 3]), 1)
    >>> shortlist.choose(keras.ops.array([[4, 3, 2], [4, 2, 0]]), first=[0, 2]).numpy().tolist()
    [[0, 2, 5, 9, 8], [0, 2, 5, 9, 6]]
    """

    candidates: np.ndarray
    frequent: np.ndarray
    num_frequent: int
    _table: object = dataclasses.field(init=False, repr=False)

    def __post_init__(self):
        for name, rank in (("candidates", 2), ("frequent", 1)):
            array = getattr(self, name)
            is_integer = np.issubdtype(array.dtype, np.integer)
            if array.ndim != rank or not array.size or not is_integer or array.min() < 0:
                raise ValueError(
                    f"`{name}` must be an array of {rank} axes of ids. "
                    f"Received: shape {array.shape}, {array.dtype}"
                )
            object.__setattr__(self, name, array.astype("int32"))
        if not SPECIALS < len(self.frequent) == len(np.unique(self.frequent)):
            raise ValueError(
                f"`frequent` must have more than {SPECIALS} ids, and none twice. "
                f"Received: {len(self.frequent)}, {len(np.unique(self.frequent))} of them different"
            )
        if not 0 <= self.num_frequent <= len(self.frequent):
            raise ValueError(
                f"`num_frequent` must be from 0 to {len(self.frequent)}, the number of ids. "
                f"Received: {self.num_frequent}"
            )
        # A tensor, which all programs share: an array would be a constant of each.
        object.__setattr__(self, "_table", ops.convert_to_tensor(self.candidates))

    def __reduce__(self):
        return type(self), (self.candidates, self.frequent, self.num_frequent)

    @property
    def size(self) -> int:
        """The number of ids that are chosen for a sentence."""
        return len(self.frequent)

    def choose(self, source, first, prefix=None, limit=None):
        """Returns the ids for each sentence, in the order of the rule.

        Args:
            source: Integer tensor of shape `(B, S)`.
            first: Different ids, at most M, which are chosen before all others: first the padding
                id, to which nothing is a translation.
            prefix: Integer tensor of shape `(B, P)`: ids that are chosen next. `None` for none.
            limit: Integer, more than any id, of the prefix, too. `None`, without a prefix, means
                the largest id of the shortlist and `first`, plus 1.

        Returns:
            Integer tensor of shape `(B, M)`.
        """
        if prefix is not None and limit is None:
            raise ValueError("`limit` must be given with a `prefix`.")
        B = source.shape[0]
        lexical = ops.take(self._table, source, axis=0)  # (B, S, K)
        lexical = ops.where(ops.equal(source, first[0])[:, :, None], first[0], lexical)
        lexical = ops.reshape(ops.swapaxes(lexical, 1, 2), (B, -1))  # all best ones first
        always = self.frequent[: self.num_frequent]
        groups = [np.array(first, "int32"), prefix, always, lexical, self.frequent]
        groups = [
            ops.broadcast_to(ops.cast(group, "int32"), (B, group.shape[-1]))
            for group in groups
            if group is not None
        ]
        largest = max(self.candidates.max(), self.frequent.max(), *first, 0)
        limit = int(largest) + 1 if limit is None else limit
        return first_distinct(ops.concatenate(groups, axis=1), self.size, limit)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the shortlist to an `.npz` file of NumPy."""
        with open(path, "wb") as file:
            np.savez_compressed(
                file,
                candidates=self.candidates,
                frequent=self.frequent,
                num_frequent=self.num_frequent,
            )

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Shortlist":
        """Reads what `save` has written.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file is damaged or holds something else.
        """
        try:
            # Opened here, since NumPy leaves damaged files open.
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as content:
                given = [field.name for field in dataclasses.fields(cls) if field.init]
                arrays = {name: content[name] for name in given}
            arrays["num_frequent"] = int(arrays["num_frequent"])
            return cls(**arrays)
        except DAMAGED as error:
            raise ValueError(
                f"{path} is not a shortlist, or is damaged ({error}). Make it again with "
                "`python -m keras_transformer shortlist`."
            ) from error


def first_distinct(ids, count, limit):
    """Returns the first `count` different ids of each row, in their order.

    Args:
        ids: Integer tensor of shape `(B, N)`, with at least `count` different ids in each row.
        count: Integer M.
        limit: Integer, more than any id.

    Returns:
        Integer tensor of shape `(B, M)`.

    Example:

    >>> first_distinct(keras.ops.array([[7, 7, 3, 7, 9, 3, 5]]), 3, limit=10).numpy().tolist()
    [[7, 3, 9]]
    """
    B, N = ids.shape
    rows = ops.arange(B, dtype="int32")[:, None]
    places = N - ops.arange(N, dtype="int32")  # descending, for a maximum
    cells = ops.reshape(rows * limit + ids, (-1,))
    firsts = ops.reshape(ops.broadcast_to(places, (B, N)), (-1,))
    firsts = ops.segment_max(firsts, cells, num_segments=B * limit)
    is_first = ops.equal(ops.reshape(ops.take(firsts, cells), (B, N)), places)
    ranks = ops.cumsum(ops.cast(is_first, "int32"), axis=1) - 1
    kept = ops.logical_and(is_first, ranks < count)
    ranks = rows * (count + 1) + ops.where(kept, ranks, count)  # the others share a last cell
    chosen = ops.segment_max(
        ops.reshape(ids, (-1,)), ops.reshape(ranks, (-1,)), num_segments=B * (count + 1)
    )
    return ops.reshape(chosen, (B, count + 1))[:, :count]


class ShortlistedMemory(NamedTuple):
    """An encoded source with the ids that its translation may consist of.

    Attributes:
        memory: What `model.encode` returned.
        ids: Integer tensor of shape `(B, M)`, from `Shortlist.choose`.
        output_weights: Weights of the output layer for these ids; `()` before `load`.
    """

    memory: object
    ids: object
    output_weights: object = ()


class ShortlistedModel:
    """A model whose token ids are indices into the shortlists of its sources.

    It has the methods that `generate_all` needs. The padding id has index 0.

    Args:
        model: A model with the methods `encode`, `init_cache` and `decode_step`, and an embedding
            of the target that can limit its output layer, such as `PositionalEmbedding`.
        shortlist: `Shortlist`.
        special_ids: Ids that are in all shortlists, after the padding id.
        prefix: Integer tensor of shape `(B, P)`: ids that the targets start with. `None` for none.
    """

    pad_id = 0

    def __init__(self, model, shortlist, special_ids, prefix=None):
        self.model, self.shortlist, self.prefix = model, shortlist, prefix
        self.first = list(dict.fromkeys([model.pad_id, *special_ids]))

    def index_of(self, special_id):
        """Returns the index of a special id in all shortlists."""
        return self.first.index(special_id)

    def init_cache(self, batch_size, num_beams, length):
        return self.model.init_cache(batch_size, num_beams, length)

    def encode(self, source):
        limit = self.model.target_vocabulary_size or self.model.vocabulary_size
        ids = self.shortlist.choose(source, self.first, self.prefix, limit)
        return ShortlistedMemory(self.model.encode(source), ids)

    def load(self, memory):
        """Returns a `ShortlistedMemory` with the weights of the output layer."""
        weights = self.model.target_embedding.output_weights(memory.ids)
        if weights is None:
            raise ValueError(
                "A quantized output layer cannot be limited to a shortlist: assign `shortlist = "
                "None` to the translator, or quantize another copy of it."
            )
        return memory._replace(output_weights=weights)

    def decode_step(self, tokens, cache, at, memory, output_weights=None):
        return self.model.decode_step(
            to_ids(tokens, memory.ids), cache, at, memory.memory, memory.output_weights
        )


def to_ids(indices, ids):
    """Returns the ids at indices, `(B, ...)`, of shortlists, `(B, M)`."""
    flat = ops.reshape(indices, (indices.shape[0], -1))
    return ops.reshape(ops.take_along_axis(ids, flat, axis=1), indices.shape)


def to_indices(tokens, ids):
    """Returns the indices of tokens, `(B, P)`, in shortlists, `(B, M)`, that hold them all."""
    return ops.cast(ops.argmax(ops.equal(tokens[:, :, None], ids[:, None]), axis=-1), "int32")
