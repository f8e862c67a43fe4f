"""A local object store, moto's S3 server, in a process of its own; prints its port."""

import contextlib
import os
import subprocess
import sys

from tests.conftest import ROOT

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
}


@contextlib.contextmanager
def object_store():
    """Runs a server; yields the environment variables by which s3fs finds it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.object_store"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        port = int(process.stdout.readline())
        yield {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    finally:
        process.kill()
        process.communicate()


def serve():
    import time

    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    parent = os.getppid()
    while os.getppid() == parent:  # it ends with the tests, however these end
        time.sleep(0.2)


if __name__ == "__main__":
    serve()
