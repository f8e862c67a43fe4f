"""The cluster of workers that the environment variable TF_CONFIG describes."""

import json
from typing import NamedTuple

from keras_transformer.distribution.base import DeviceError

EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)


class Cluster(NamedTuple):
    """Number of workers, and the index of this process among them."""

    workers: int
    index: int


def read_cluster(text):
    """Parses the value of the environment variable TF_CONFIG.

    Args:
        text: String, or `None` if the variable is not set.

    Returns:
        `Cluster`. A chief, if there is one, counts as the first worker.

    Raises:
        DeviceError: If the variable is not set or does not describe a cluster.

    Example:

    >>> read_cluster(EXAMPLE)
    Cluster(workers=2, index=0)
    """
    if text is None:
        raise DeviceError(
            f"strategy multi_worker needs the environment variable TF_CONFIG, for example {EXAMPLE}"
        )
    try:
        config = json.loads(text)
        members = {kind: list(config["cluster"].get(kind, ())) for kind in ("chief", "worker")}
        kind, index = config["task"]["type"], int(config["task"]["index"])
        members[kind][index]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DeviceError(
            f"TF_CONFIG does not describe a cluster of workers ({error!r}). Expected, for example, "
            f"{EXAMPLE}. Received: {text:.200}"
        ) from error
    first_index = len(members["chief"]) if kind == "worker" else 0
    return Cluster(len(members["chief"]) + len(members["worker"]), first_index + index)
