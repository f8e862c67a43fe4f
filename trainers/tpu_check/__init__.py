"""Compilation for TPUs on a machine without one: compiler errors, memory and operations."""

from trainers.flops import forward_flops, image_flops, search_flops, train_step_flops
from trainers.tpu_check.compiler import Outcome, check_installed, compile_hlo, failure
from trainers.tpu_check.fitting import Fitting, largest_batch
from trainers.tpu_check.jax_programs import compile_train_step
from trainers.tpu_check.packed_rows import make_all_variables, packed_rows
from trainers.tpu_check.report import Line, table
from trainers.tpu_check.tensorflow_programs import lower_by_tensorflow
from trainers.tpu_check.topologies import ENVIRONMENT, TOPOLOGIES, Topology

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
    "image_flops",
    "largest_batch",
    "lower_by_tensorflow",
    "make_all_variables",
    "packed_rows",
    "search_flops",
    "table",
    "train_step_flops",
]
