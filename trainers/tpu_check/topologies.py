"""TPU slices, by name."""

import dataclasses
import math
import os

GIB = 2**30
HBM_GIB = {"v5e": 16, "v6e": 32}  # per chip
GRIDS = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
TOPOLOGIES = tuple(f"{kind}:{grid}" for kind in HBM_GIB for grid in GRIDS)

# Read when libtpu is loaded. The accelerator type is required, but not used.
ENVIRONMENT = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # otherwise a lock file is left in /tmp
    "JAX_PLATFORMS": "cpu",  # there is no TPU to run on
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_LOG_DIR": "disabled",
    "TPU_SKIP_MDS_QUERY": "1",  # do not query a metadata server
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """A grid of TPU chips of one kind.

    Args:
        name: Kind of chip and grid, one of `TOPOLOGIES`.

    Raises:
        ValueError: The name is unknown.

    Example:

    >>> slice = Topology("v5e:4x4")
    >>> slice.kind, slice.chips, slice.hbm // 2**30
    ('v5e', 16, 16)
    """

    name: str

    def __post_init__(self):
        if self.name not in TOPOLOGIES:
            raise ValueError(
                f"There is no TPU topology {self.name!r}. Expected one of: {', '.join(TOPOLOGIES)}."
            )

    @property
    def kind(self) -> str:
        """Kind of chip, such as `"v5e"`."""
        return self.name.partition(":")[0]

    @property
    def chips(self) -> int:
        """Number of chips."""
        return math.prod(map(int, self.name.partition(":")[2].split("x")))

    @property
    def hbm(self) -> int:
        """Memory of one chip in bytes."""
        return HBM_GIB[self.kind] * GIB

    def devices(self) -> list:
        """Returns the chips as JAX devices to compile for; nothing can run on them.

        `ENVIRONMENT` should be set before JAX is imported; this method sets what is missing.
        """
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from jax.experimental import topologies

        description = topologies.get_topology_desc(platform="tpu", topology_name=self.name)
        return list(description.devices)
