"""The TPU's own compiler, on a machine without a TPU: what compiles, memory, operations."""

from keras_transformer.distribution.tpu_compiler.compiler import (
    Outcome,
    check_installed,
    compile_hlo,
    failure,
)
from keras_transformer.distribution.tpu_compiler.fitting import (
    Fitting,
    largest_batch,
)
from keras_transformer.distribution.tpu_compiler.formulas import (
    forward_flops,
    search_flops,
    train_step_flops,
)
from keras_transformer.distribution.tpu_compiler.jax_programs import compile_train_step
from keras_transformer.distribution.tpu_compiler.packed_rows import make_all_variables, packed_rows
from keras_transformer.distribution.tpu_compiler.report import Line, table
from keras_transformer.distribution.tpu_compiler.tensorflow_programs import lower_by_tensorflow
from keras_transformer.distribution.tpu_compiler.topologies import (
    ENVIRONMENT,
    TOPOLOGIES,
    Topology,
)

__all__ = [
    "ENVIRONMENT",
    "TOPOLOGIES",
    "Fitting",
    "Line",
    "Outcome",
    "Topology",
    "check_installed",
    "compile_hlo",
    "compile_train_step",
    "failure",
    "forward_flops",
    "largest_batch",
    "lower_by_tensorflow",
    "make_all_variables",
    "packed_rows",
    "search_flops",
    "table",
    "train_step_flops",
]
