"""What all command lines share: options from a typed signature, errors in one line."""

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

EXPECTED_ERRORS = (ValueError, OSError, ImportError, argparse.ArgumentError)
USAGE_ERROR = 2
FAILURE = 1


def make_parser(program: str, description: str):
    """A parser whose errors are exceptions, and which takes dashes for underscores."""
    from jsonargparse import ArgumentParser

    return ArgumentParser(
        prog=program, description=description, exit_on_error=False, allow_abbrev=False
    )


def with_underscores(arguments: list[str]) -> list[str]:
    """Options as the parser knows them: `--train-source=a-b` becomes `--train_source=a-b`.

    Example:

    >>> with_underscores(["--train-source=a-b", "--output", "x-y", "-"])
    ['--train_source=a-b', '--output', 'x-y', '-']
    """
    if "--" in arguments:
        end = arguments.index("--")
        return with_underscores(arguments[:end]) + arguments[end:]
    return [
        re.sub(r"^--[^=]+", lambda option: "--" + option[0][2:].replace("-", "_"), argument)
        for argument in arguments
    ]


def run(program: str, main: Callable[[], int | None], command: str = "") -> int:
    """Runs a program; what a user can mend ends it with one line and an exit code not 0.

    Args:
        program: How it was called, such as `python -m trainers.translation`.
        main: What it does; what it returns is the exit code, `None` is 0.
        command: Which of its commands was asked for, if it has several.
    """
    try:
        _open_standard_streams()
        with _left_at_sigterm():
            quieten_tensorflow()
            warnings.filterwarnings("ignore", module="(keras|jsonargparse|tensorflow).*")
            code = main() or 0
            sys.stdout.flush()  # what cannot be written is to be told, too
            return code
    except BrokenPipeError:  # the reader has had enough
        _forget_output()
        return 0
    except argparse.ArgumentError as error:
        usage, message = program, str(error)
        if command:  # the parser calls its options "translate.run"
            usage, message = f"{program} {command}", message.replace(f" {command}.", " ")
        return _complain(program, f"{message} (see {usage} --help)", USAGE_ERROR)
    except EXPECTED_ERRORS as error:
        _forget_output()
        return _complain(program, str(error), FAILURE)
    except KeyboardInterrupt:
        return _complain(program, "interrupted", 130)
    except Exception as error:
        message = _lack(error)
        if message is None:
            raise
        return _complain(program, message, FAILURE)


def _open_standard_streams() -> None:
    """Opens those that the process was started without, as some services do.

    Raises:
        OSError: Standard output is closed, so that nothing could be told.
    """
    names = {0: ("stdin", "r"), 1: ("stdout", "w"), 2: ("stderr", "w")}
    closed = [number for number, (name, _) in names.items() if getattr(sys, name) is None]
    for number in closed:
        name, mode = names[number]
        nothing = os.open(os.devnull, os.O_RDWR)
        if nothing != number:
            os.dup2(nothing, number)
        setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))
    if 1 in closed:
        raise OSError("Standard output is closed. Send it to a file, or to /dev/null.")


@contextlib.contextmanager
def _left_at_sigterm() -> Iterator[None]:
    """A block that SIGTERM makes the process leave, so that nothing stays half-written.

    Not where a program has a way of its own.
    """
    of_main = threading.current_thread() is threading.main_thread()
    ours = of_main and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _lack(error: Exception) -> str | None:
    """What to say if memory (Python's, TensorFlow's, JAX's) or a disk was too small."""
    exhausted = "ResourceExhausted" in type(error).__name__ or "RESOURCE_EXHAUSTED" in str(error)
    if not exhausted and not isinstance(error, MemoryError):
        return None
    lines = str(error).splitlines()
    full = next((line for line in lines if "No space left" in line), None)
    if full:
        return full
    of_memory = (line for line in lines if re.search("out of memory|OOM|allocate", line, re.I))
    what = next(of_memory, "").partition("[Op:")[0].strip(" .") or type(error).__name__
    return (
        f"There is not enough memory ({what}). Take smaller batches, shorter sentences, fewer "
        "beams or a smaller model."
    )


def _forget_output() -> None:
    """Lets what could not be written to standard output go, if there is such a thing."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(program: str, message: str, code: int) -> int:
    line = " ".join(message.split()) or "failed for a reason it does not know"
    print(f"{program}: error: {line}", file=sys.stderr)
    return code


def quieten_tensorflow() -> None:
    """Imports the backend without its notes on standard error, which nobody can act on."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _standard_error_kept():
        import keras  # noqa: F401


@contextlib.contextmanager
def _standard_error_kept() -> Iterator[None]:
    """Keeps what is written to standard error, and shows it only if the block fails."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except Exception:
            kept.seek(0)
            os.write(original, kept.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
