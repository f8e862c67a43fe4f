"""Reading tensors from a safetensors file: a JSON header, then plain numbers."""

import json
import math
import os
from pathlib import Path

import numpy as np

SIZE_OF_LENGTH = 8  # bytes of the number that says how long the header is
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_safetensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """All tensors of a [safetensors](https://github.com/huggingface/safetensors) file.

    Args:
        path: The file.

    Returns:
        Arrays by name, float32 whatever the precision in the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is cut off or damaged, or a tensor does not hold floats.
    """
    content = Path(path).read_bytes()
    length = int.from_bytes(content[:SIZE_OF_LENGTH], "little")
    data = memoryview(content)[SIZE_OF_LENGTH + length :]
    try:
        header = json.loads(content[SIZE_OF_LENGTH : SIZE_OF_LENGTH + length])
        header.pop("__metadata__", None)
        return {name: _tensor(data, **facts) for name, facts in header.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a whole safetensors file of floats ({error}): it is cut off, damaged "
            "or something else. Copy it again."
        ) from error


def _tensor(data: memoryview, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    if dtype not in DTYPES:
        raise ValueError(f"expected numbers of type {', '.join(DTYPES)}, received {dtype}")
    start, end = data_offsets
    type_in_file = np.dtype(DTYPES[dtype])
    if (
        not 0 <= start <= end <= len(data)
        or end - start != math.prod(shape) * type_in_file.itemsize
    ):
        raise ValueError(f"a tensor of shape {shape} at bytes {start} to {end} of {len(data)}")
    numbers = np.frombuffer(data[start:end], type_in_file)
    if dtype == "BF16":  # the upper half of a float32
        numbers = (numbers.astype("<u4") << 16).view("<f4")
    return numbers.astype("float32").reshape(shape)
