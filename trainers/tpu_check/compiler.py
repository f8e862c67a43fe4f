"""Compiling a program with libtpu, and what the compiler tells of it."""

import dataclasses
import importlib.util
import re
import time

from trainers.tpu_check.topologies import Topology

# TensorFlow marks variables that it returns with a copy, which StableHLO has not: a barrier, an
# identity too, takes its place. In the text it stands in one of two forms.
COPY = re.compile(r'"mhlo\.copy"\((%[^)]*)\)(?: <\{[^}]*\}>)?(?: \{[^}]*\})? : \((.*?)\) -> .*')
SHORT_COPY = re.compile(r"mhlo\.copy (%\S+) : (.*)")
# The compiler's two ways of saying that memory does not suffice: what is needed, what there is.
OUT_OF_MEMORY = re.compile(
    r"Used ([\d.]+)([KMG]) of (\S+) hbm|\(([\d.]+)([KMG])\) exceeds available HBM \((\S+)\)"
)
BYTES = {"K": 2**10, "M": 2**20, "G": 2**30}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a compilation.

    Attributes:
        seconds: How long it took.
        flops: Floating-point operations of one chip, as the compiler counts them: a product and a
            sum are two, the body of a loop counts once.
        memory: Bytes of one chip: arguments, results, the space between, and the program. Where
            that was too much, as many as the compiler asked for; 0 if it does not say.
        error: Why it did not compile, one line; `None` if it did.
    """

    seconds: float
    flops: float = 0.0
    memory: int = 0
    error: str | None = None


def check_installed() -> None:
    """Raises an `ImportError` that says what to install, if JAX or libtpu is missing."""
    for name in ("jax", "libtpu"):
        if importlib.util.find_spec(name) is None:
            raise ImportError(
                f"{name} is not installed, which has the TPU's compiler. "
                'Install it with: pip install "keras-transformer[tpu-check]"'
            )


def failure(error: Exception, seconds: float = 0.0) -> Outcome:
    """The outcome of a compilation that ended with an exception.

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
    """The outcome of a compilation that gave an executable of jaxlib."""
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
        hlo: A serialised `HloModuleProto`, as `lower_by_tensorflow` gives it.
        topology: `Topology` whose first chip is compiled for.
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
    """HLO as a StableHLO module; call it in a context of `mlir.make_ir_context()`."""
    from jax.extend import mlir
    from jaxlib.mlir import ir

    text = str(ir.Module.parse(mlir.hlo_to_stablehlo(hlo)))
    text = COPY.sub(r"stablehlo.optimization_barrier \1 : \2", text)
    return ir.Module.parse(SHORT_COPY.sub(r"stablehlo.optimization_barrier \1 : \2", text))
