"""Parts shared by all command lines: option parsing, one-line errors, exit codes, signals."""

import argparse
import contextlib
import os
import re
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator

from keras_transformer.forking import ForkError

EXPECTED_ERRORS = (ValueError, OSError, ImportError, ForkError, argparse.ArgumentError)
BACKENDS = ("tensorflow", "jax")
USAGE_ERROR = 2
FAILURE = 1
_OPTION_NAME = re.compile(r"^--[\w+-]+(?==|$)")


def make_parser(program: str, description: str):
    """Returns an argument parser that raises its errors instead of exiting.

    Its option names have underscores: pass the command line through `with_underscores` first.
    """
    from jsonargparse import ArgumentParser

    return ArgumentParser(
        prog=program, description=description, exit_on_error=False, allow_abbrev=False
    )


def with_underscores(arguments: list[str]) -> list[str]:
    """Replaces dashes in option names by underscores: `--train-source=a-b` becomes
    `--train_source=a-b`.

    Example:

    >>> with_underscores(["--train-source=a-b", "--output", "x-y", "-"])
    ['--train_source=a-b', '--output', 'x-y', '-']
    """
    if "--" in arguments:
        end = arguments.index("--")
        return with_underscores(arguments[:end]) + arguments[end:]
    return [_OPTION_NAME.sub(_underscored, argument) for argument in arguments]


def _underscored(option: re.Match) -> str:
    return "--" + option[0][2:].replace("-", "_")


def run(program: str, main: Callable[[], int | None], command: str = "") -> int:
    """Runs a program and returns its exit code.

    Errors that the user can fix are printed as one line, without a traceback; all others are
    raised.

    Args:
        program: How the program is called, such as `python -m trainers.translation`.
        main: Function that does the work. It returns the exit code; `None` means 0.
        command: The requested command, if the program has several. Usage errors point to its help.
    """
    try:
        with _exit_on_sigterm(), _one_line_warnings(program):
            quieten_tensorflow()
            warnings.filterwarnings("ignore", module="(keras|jsonargparse|tensorflow).*")
            code = main() or 0
            sys.stdout.flush()  # a write error, such as a full disk, is raised here
            return code
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        _discard_output()
        return 0
    except argparse.ArgumentError as error:
        usage, message = program, str(error)
        if command:  # the parser calls its options "translate.run"
            usage, message = f"{program} {command}", message.replace(f" {command}.", " ")
        return _report_error(program, f"{message} (see {usage} --help)", USAGE_ERROR)
    except EXPECTED_ERRORS as error:
        _discard_output()
        return _report_error(program, str(error), FAILURE)
    except KeyboardInterrupt:
        return _report_error(program, "interrupted", 130)
    except Exception as error:
        message = _exhaustion_message(error)
        if message is None:
            raise
        return _report_error(program, message, FAILURE)


@contextlib.contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Turns SIGTERM into `SystemExit` inside the block, so that temporary files are cleaned up.

    A handler that the caller has installed stays in place.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    install = in_main_thread and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if install:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        if install:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def _one_line_warnings(program: str) -> Iterator[None]:
    """Has warnings printed as one line each, without the line of code that they come from."""
    original = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: (
        f"{program}: warning: {' '.join(str(message).split())}\n"
    )
    try:
        yield
    finally:
        warnings.formatwarning = original


def _exhaustion_message(error: Exception) -> str | None:
    """Returns a message if Python, TensorFlow or JAX ran out of memory or disk space, else `None`.

    TensorFlow reports a full disk as RESOURCE_EXHAUSTED, too.
    """
    kind, text = type(error).__name__, str(error)
    exhausted = "ResourceExhausted" in kind or "RESOURCE_EXHAUSTED" in text
    if not exhausted and not isinstance(error, MemoryError):
        return None
    lines = text.splitlines() or [kind]
    disk_full = next((line for line in lines if "No space left" in line), None)
    return disk_full or (
        f"There is not enough memory ({lines[0]}). Use smaller batches, shorter sentences, fewer "
        "beams or a smaller model."
    )


def _discard_output() -> None:
    """Drops buffered output that cannot be written, so that Python does not fail on it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_error(program: str, message: str, code: int) -> int:
    """Prints an error as one line and returns the exit code."""
    line = " ".join(message.split()) or "failed without an error message"
    print(f"{program}: error: {line}", file=sys.stderr)
    return code


def quieten_tensorflow() -> None:
    """Imports the backend without the log messages that it prints to standard error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _stderr_only_on_failure():
        import keras
    backend = keras.backend.backend()
    if backend not in BACKENDS:
        raise ValueError(
            f"This program runs on TensorFlow or JAX. Received: KERAS_BACKEND={backend}. Set it to "
            "tensorflow or jax, or remove it."
        )
    keras.config.set_floatx("float32")  # whatever keras.json says: runs and recipes say what else


@contextlib.contextmanager
def _stderr_only_on_failure() -> Iterator[None]:
    """Buffers what the block writes to standard error, and prints it only if the block fails."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as buffer:
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        except Exception:
            buffer.seek(0)
            os.write(original, buffer.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
