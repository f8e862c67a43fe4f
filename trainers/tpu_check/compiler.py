"""Compilation with libtpu, and the compiler's memory and cost analysis."""

import dataclasses
import importlib.util
import re
import time

from trainers.tpu_check.topologies import Topology

# TensorFlow marks variables that it returns with `mhlo.copy`, which StableHLO lacks: it is replaced
# by an optimization barrier, which is also an identity. The operation is printed in two forms.
COPY = re.compile(r'"mhlo\.copy"\((%[^)]*)\)(?: <\{[^}]*\}>)?(?: \{[^}]*\})? : \((.*?)\) -> .*')
SHORT_COPY = re.compile(r"mhlo\.copy (%\S+) : (.*)")
# The two forms of the compiler's out-of-memory error: bytes needed and bytes available.
OUT_OF_MEMORY = re.compile(
    r"Used ([\d.]+)([KMG]) of (\S+) hbm|\(([\d.]+)([KMG])\) exceeds available HBM \((\S+)\)"
)
BYTES = {"K": 2**10, "M": 2**20, "G": 2**30}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a compilation.

    Attributes:
        seconds: Compilation time.
        flops: Floating-point operations per chip, as the compiler counts them: a multiply-add is
            two, the body of a loop counts once.
        memory: Bytes per chip: arguments, results, temporaries and the program. After an
            out-of-memory error, the bytes that the compiler asked for; 0 if it does not report
            them.
        error: Error message, one line; `None` if the program compiled.
    """

    seconds: float
    flops: float = 0.0
    memory: int = 0
    error: str | None = None


def check_installed() -> None:
    """Checks that JAX and libtpu are installed.

    Raises:
        ImportError: One of them is missing; the message says how to install it.
    """
    for name in ("jax", "libtpu"):
        if importlib.util.find_spec(name) is None:
            raise ImportError(
                f"The TPU compiler needs {name}, which is not installed. "
                'Install it with: pip install ".[tpu-check]"'
            )


def failure(error: Exception, seconds: float = 0.0) -> Outcome:
    """Returns the outcome of a compilation that raised an exception.

    Example:

    >>> failure(ValueError("RESOURCE_EXHAUSTED: Used 20.1G of 15.7G hbm. Exceeded")).error
    'out of memory: needs 20.1G of 15.7G'
    """
    text = str(error)
    if found := OUT_OF_MEMORY.search(text):
        needed, unit, available = (part for part in found.groups() if part)
        error = f"out of memory: needs {needed}{unit} of {available}"
        return Outcome(seconds, memory=int(float(needed) * BYTES[unit]), error=error)
    return Outcome(seconds, error=" ".join(text.split())[:300] or type(error).__name__)


def success(executable, seconds: float) -> Outcome:
    """Returns the outcome of a compilation that produced a jaxlib executable."""
    cost, memory = executable.cost_analysis(), executable.get_compiled_memory_stats()
    cost = cost[0] if isinstance(cost, list) else cost
    size = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes
    )
    return Outcome(seconds, float(cost["flops"]), int(size))


def compile_hlo(hlo: bytes, topology: Topology) -> Outcome:
    """Compiles a program for one chip.

    Args:
        hlo: Serialized `HloModuleProto`, as `lower_by_tensorflow` returns it.
        topology: `Topology`; the program is compiled for its first chip.
    """
    import jax
    import numpy as np
    from jax.interpreters import mlir
    from jaxlib import xla_client

    device = topology.devices()[0]
    options = xla_client.CompileOptions()
    options.num_replicas = options.num_partitions = 1
    options.device_assignment = xla_client.DeviceAssignment.create(np.array([[0]]))
    started = time.perf_counter()
    try:
        with mlir.make_ir_context():
            module = stablehlo(hlo)
            devices = xla_client.DeviceList((device,))
            executable = device.client.compile(module, devices, options)
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        return failure(error, time.perf_counter() - started)
    return success(executable, time.perf_counter() - started)


def stablehlo(hlo: bytes):
    """Converts HLO to a StableHLO module, within the context of `mlir.make_ir_context()`."""
    from jax.extend import mlir
    from jaxlib.mlir import ir

    text = str(ir.Module.parse(mlir.hlo_to_stablehlo(hlo)))
    text = COPY.sub(r"stablehlo.optimization_barrier \1 : \2", text)
    return ir.Module.parse(SHORT_COPY.sub(r"stablehlo.optimization_barrier \1 : \2", text))
