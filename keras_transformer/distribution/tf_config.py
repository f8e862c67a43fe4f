"""Several processes under TensorFlow: where they are, and what Keras needs to train with them."""

import json
from typing import NamedTuple

from keras_transformer.distribution.base import DeviceError

EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)


class Cluster(NamedTuple):
    """How many processes train together, and which of them this is."""

    workers: int
    index: int


def read_cluster(text):
    """What TF_CONFIG says.

    Args:
        text: String, or `None` if there is no such variable.

    Returns:
        `Cluster`. The chief, where one is named, is the first worker.

    Raises:
        DeviceError: It is missing, or says something else.

    Example:

    >>> read_cluster(EXAMPLE)
    Cluster(workers=2, index=0)
    """
    if text is None:
        raise DeviceError(
            f"strategy multi_worker needs the environment variable TF_CONFIG, such as {EXAMPLE}"
        )
    try:
        described = json.loads(text)
        members = {kind: list(described["cluster"].get(kind, ())) for kind in ("chief", "worker")}
        kind, index = described["task"]["type"], int(described["task"]["index"])
        members[kind][index]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DeviceError(
            f"TF_CONFIG does not say where the workers are ({error!r}). Expected such as "
            f"{EXAMPLE}. Received: {text:.200}"
        ) from error
    before = len(members["chief"]) if kind == "worker" else 0
    return Cluster(len(members["chief"]) + len(members["worker"]), before + index)
