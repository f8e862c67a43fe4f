"""Reader of safetensors files: a JSON header followed by raw numbers."""

import json
import math
import os
from pathlib import Path

import numpy as np

LENGTH_BYTES = 8  # size of the first field, the length of the header
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_safetensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads all tensors of a [safetensors](https://github.com/huggingface/safetensors) file.

    Args:
        path: Path of the file.

    Returns:
        A dict from tensor names to arrays, float32 whatever the precision in the file.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is truncated or damaged, or a tensor does not hold floating-point
            numbers.
    """
    content = Path(path).read_bytes()
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    data = memoryview(content)[LENGTH_BYTES + length :]
    try:
        header = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + length])
        header.pop("__metadata__", None)
        return {name: _tensor(data, **entry) for name, entry in header.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a complete safetensors file of floating-point tensors ({error}): it is "
            "truncated, damaged or of another format. Copy it again."
        ) from error


def _tensor(data: memoryview, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    """Returns the tensor that an entry of the header describes, as float32."""
    if dtype not in DTYPES:
        raise ValueError(f"expected one of the types {', '.join(DTYPES)}, received {dtype}")
    start, end = data_offsets
    file_dtype = np.dtype(DTYPES[dtype])
    size = math.prod(shape) * file_dtype.itemsize
    if not 0 <= start <= end <= len(data) or end - start != size:
        raise ValueError(f"a tensor of shape {shape} at bytes {start} to {end} of {len(data)}")
    numbers = np.frombuffer(data[start:end], file_dtype)
    if dtype == "BF16":  # the upper half of a float32
        numbers = (numbers.astype("<u4") << 16).view("<f4")
    return numbers.astype("float32").reshape(shape)
