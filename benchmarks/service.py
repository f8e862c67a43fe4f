"""Times the HTTP service under load, beside `translate` and beside a service without batching.

    python -m benchmarks.service --run runs/phrasebook --engines keras ctranslate2

For each engine, `python -m keras_transformer serve` runs in a process of its own, with batching and
with `--batch-size 1`. `--clients` clients each send one sentence of the built-in corpus after the
other on a connection that stays open, for `--seconds` after a warm-up of a tenth of it: sentences
per second, and the median and the 99th percentile of the time of an answer. The clients run in one
other process, on the same machine, which they load, too. Then `Translator.translate` is called with
64 sentences at a time, in this process, while no service runs.
"""

import asyncio
import contextlib
import itertools
import json
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import deque

from benchmarks.parser import make_parser
from benchmarks.streaming import lines
from benchmarks.turns import ROOT
from keras_transformer import Translator

TOGETHER = 64  # sentences of a call of `translate`
TEXTS = 4096
WARM_UP = 0.1
HEAD = "POST /translate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@contextlib.contextmanager
def service(run, engine, *options):
    """Starts a service and yields its port, once it is ready; ends it after the block."""
    command = [sys.executable, "-m", "keras_transformer", "serve", "--run", run, "--port", "0"]
    process = subprocess.Popen(
        [*command, "--engine", engine, *options], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        yield wait_until_ready(process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def wait_until_ready(process):
    """Returns the port of a service; its log is dropped from then on."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.match(r"Serving .*:(\d+)$", line):
            threading.Thread(target=deque, args=(process.stderr, 0), daemon=True).start()
            return int(found[1])
    raise SystemExit(f"The service failed:\n{''.join(lines)}")


async def ask(reader, writer, text):
    """Sends a sentence and reads the answer."""
    body = json.dumps({"texts": [text]}).encode()
    writer.write(f"{HEAD}content-length: {len(body)}\r\n\r\n".encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    content = await reader.readexactly(int(re.search(r"content-length: (\d+)", head)[1]))
    assert head.split()[1] == "200", content


async def client(port, texts, end, times):
    """Asks for one sentence after the other, and notes when each was answered and how soon."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end:
        began = time.perf_counter()
        await ask(reader, writer, next(texts))
        times.append((time.perf_counter(), time.perf_counter() - began))
    writer.close()


async def load(port, clients, seconds):
    """Returns sentences per second, and the times of the answers in ascending order."""
    texts, times = itertools.cycle(lines(TEXTS, joined=1)), []
    begin = time.perf_counter() + WARM_UP * seconds
    end = begin + seconds
    await asyncio.gather(*(client(port, texts, end, times) for _ in range(clients)))
    counted = sorted(taken for at, taken in times if begin <= at < end)
    return len(counted) / seconds, counted


def print_load(name, port, clients, seconds):
    for count in clients:
        rate, times = asyncio.run(load(port, count, seconds))
        if not times:
            raise SystemExit(f"No answer in {seconds} s. Give more --seconds.")
        median, late = statistics.median(times), times[int(0.99 * len(times))]
        print(
            f"{name:<28} {count:4} clients {rate:8.1f} sentences/s   median "
            f"{1000 * median:7.1f} ms   99 % {1000 * late:7.1f} ms",
            flush=True,
        )


def print_translate(run, engine, seconds, beam_size):
    translator = Translator.load(run, engine)
    texts = itertools.cycle(lines(TEXTS, joined=1))
    groups = [list(itertools.islice(texts, TOGETHER)) for _ in range(TEXTS // TOGETHER)]
    for group in groups[:8]:
        translator.translate(group, beam_size)  # compiles
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        translator.translate(groups[done % len(groups)], beam_size)
        done += 1
    rate = TOGETHER * done / (time.perf_counter() - began)
    print(f"{f'{engine}, translate':<28} {TOGETHER:4} texts   {rate:8.1f} sentences/s", flush=True)


def parse(arguments):
    parser = make_parser("service", __doc__)
    parser.add_argument("--run", required=True, help="folder of a finished run")
    parser.add_argument("--engines", nargs="+", default=["keras", "ctranslate2"])
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--beam-size", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=64)
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = parse(arguments)
    beams = ["--beam-size", str(arguments.beam_size)]
    for engine in arguments.engines:
        for size in (arguments.batch_size, 1):
            options = [*beams, "--batch-size", str(size)]
            with service(arguments.run, engine, *options) as port:
                name = f"{engine}, batches of {size}"
                print_load(name, port, arguments.clients, arguments.seconds)
        print_translate(arguments.run, engine, arguments.seconds, arguments.beam_size)


if __name__ == "__main__":
    main()
