"""Requests that somebody might send to break a service, made from random numbers."""

import json
import random

TEXTS = ["one two", "red cat", "", "\0\x1b[31m", "😀" * 40, "<script>alert(1)</script>", "x" * 3000]
TEXTS += ["שלום עולם", "</s> <pad> >>fr<<", "a\u2028b\r\nc", "\ufffe\uffff", "e\u0301" * 300]
ODD = [None, True, -1, 0, 10**400, 1e308, 2**63, "", "1", [], {}, [[[]]], {"texts": []}, 0.5]
STATUSES = {200, 400, 401, 404, 405, 408, 413, 422, 429, 503, 504}


def head(path="/translate", method="POST", **headers):
    headers = {"host": "x", "content-type": "application/json", **headers}
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("utf-8", "surrogateescape")


def whole(body, **headers):
    return head(content_length=len(body), **headers) + body


def valid(rng):
    body = {"texts": rng.choices(TEXTS, k=rng.randrange(5)), "scores": rng.random() < 0.5}
    return json.dumps(body, ensure_ascii=rng.random() < 0.5).encode()


def fuzzed(rng):
    body = bytearray(valid(rng))
    for _ in range(rng.randrange(1, 9)):
        place = rng.randrange(len(body))
        body[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        body = body or bytearray(b"{")
    return whole(bytes(body))


def odd_types(rng):
    fields = ("texts", "top_beams", "scores", "attention", "run", "beam_size", "\ud800")
    body = {name: rng.choice(ODD) for name in fields if rng.random() < 0.4}
    body = rng.choice([body, {"texts": ["one"], **body}, rng.choice(ODD)])
    return whole(json.dumps(body).encode())


def extreme_numbers(rng):
    number = rng.choice(["NaN", "-Infinity", "1e999", "9" * 5000, "-0", "1e-400", "0x10", "01"])
    return whole(b'{"texts": ["one"], "top_beams": %s}' % number.encode())


def not_unicode(rng):
    text = rng.choice([b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\\ud800", b"\\udfff\\ud800"])
    return whole(b'{"texts": ["one ' + text + b'"]}')


def huge(rng):
    size = rng.randrange(1 << 20, 1 << 21)
    return rng.choice(
        [
            head(content_length=10**12) + b"{",
            head(content_length=10**30),
            whole(b" " * size),
            whole(b"[" * 100_000),
            whole(b'{"a":' * 50_000),
            whole(json.dumps({"texts": ["one"] * 9999}).encode()),
            whole(json.dumps({"texts": ["red cat " * 9999]}).encode()),
            head(transfer_encoding="chunked") + b"10000\r\n%s\r\n" % (b"x" * 65536) * 17,
        ]
    )


def broken_http(rng):
    return rng.choice(
        [
            rng.randbytes(rng.randrange(1, 300)) + b"\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",  # without a host
            head(content_length=-1),
            head(content_length="abc"),
            head(content_length="1, 2") + b"{}",
            head(transfer_encoding="gzip, chunked") + b"0\r\n\r\n",
            head(transfer_encoding="chunked") + b"zz\r\n",
            head(transfer_encoding="chunked") + b"5\r\n{}\r\n",
            head(upgrade="websocket", connection="upgrade"),
            head(expect="100-continue", content_length=5),
            head(x="y" * 100_000),
            head(**{f"x{n}": n for n in range(500)}),
            head(authorization="Bearer " + "x" * 5000),
        ]
    )


def other_paths(rng):
    path = rng.choice(
        ["/../../etc/passwd", "/%ff%00%0a", "/translate/", "//x", "*", "/?" + "a" * 999]
    )
    method = rng.choice(["GET", "PUT", "HEAD", "OPTIONS", "TRACE", "CONNECT", "NONSENSE"])
    return head(path, method)


def pipelined(rng):
    return whole(valid(rng)) * rng.randrange(2, 6)


def half_sent(rng):
    request = whole(valid(rng))
    return request[: rng.randrange(1, len(request))]


KINDS = [fuzzed, odd_types, extreme_numbers, not_unicode, huge, broken_http, other_paths]
KINDS += [pipelined, half_sent, lambda rng: whole(valid(rng)), fuzzed, odd_types]


def hostile_request(number):
    """Returns the bytes of a request, another for each number, and the seconds to wait for it."""
    rng = random.Random(number)
    kind = rng.choice(KINDS)
    return kind(rng), 0.02 if kind is half_sent else 2
