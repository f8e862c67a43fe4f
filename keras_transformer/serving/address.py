"""The address of a service: bound first, listened at once all is compiled."""

import ipaddress
import os
import socket


def bind(host: str, port: int) -> socket.socket:
    """Returns a socket that is bound but does not listen yet: connections are refused.

    Raises:
        OSError: The address is unknown, not of this machine or in use.
        ValueError: There is no such port.
    """
    if not 0 <= port < 1 << 16:
        raise ValueError(f"--port must be from 0 (any free one) to 65535. Received: {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise OSError(f"--host {host} is no address of this machine: {error}") from error
    try:
        if os.name == "posix":  # a port that was left a moment ago is free
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(
            f"{host}, port {port}, cannot be served: {error.strerror}. Give another --port or "
            "--host."
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Returns the URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_local(listener: socket.socket) -> bool:
    """Returns whether only programs on this machine reach a bound socket."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback
