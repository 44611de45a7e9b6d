"""What isn't gRPC on the gRPC port: TCP without HTTP/2, HTTP/2 that breaks its rules, gRPC framing that is wrong.

The server may answer, reset or hang up as it likes. It must stay, be right, and not swell.
"""

import random
import socket
import struct
import time

import grpc
import h2.config
import h2.connection
import h2.exceptions
import h2.settings
import pytest
from scorewire.v1 import scoring_pb2, scoring_pb2_grpc

from conftest import assert_right
from support import http2
from support.examples import EXAMPLE_MODELS
from support.http2 import END_HEADERS, END_STREAM, PREFACE, frame, grpc_headers, grpc_message, literal_headers
from support.metrics import Metrics
from support.server import Server

SEED = 20_250_302
GOOD = EXAMPLE_MODELS["breast-cancer"].request().SerializeToString()
GOOD_HEADERS = literal_headers(grpc_headers())
SETTINGS = http2.settings()
MIB = 1024 * 1024


def memory_mib(server) -> float:
    return Metrics(server).sum("process_memory_usage_bytes") / MIB


@pytest.mark.parametrize("length", [1, 9, 24, 1000, 100_000])
def test_random_bytes(server, still_right, length):
    chance = random.Random(f"{SEED} {length}")
    for _ in range(20):
        with http2.connect(server.address) as connection:
            try:
                connection.sendall(chance.randbytes(length))
                connection.shutdown(socket.SHUT_WR)
            except ConnectionError:
                continue
            http2.drain(connection, 1)


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /scorewire.v1.ScoringService/Score HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        # A TLS client that took the port for its own.
        bytes.fromhex("16030100c8010000c40303") + b"\x5a" * 200,
        b"\r\n" * 1000,
    ],
    ids=["HTTP/1.1 GET", "HTTP/1.1 POST", "h2c upgrade", "TLS hello", "newlines"],
)
def test_other_protocols(server, still_right, text):
    with http2.connect(server.address) as connection:
        connection.sendall(text)
        http2.drain(connection, 1)


def test_the_preface_followed_by_random_bytes(server, still_right):
    chance = random.Random(SEED)
    for n in range(100):
        with http2.connect(server.address) as connection:
            try:
                connection.sendall(PREFACE + (SETTINGS if n % 2 else b"") + chance.randbytes(chance.randint(1, 400)))
                connection.shutdown(socket.SHUT_WR)
            except ConnectionError:
                continue
            http2.drain(connection, 0.5)


def test_random_frames(server, still_right):
    """Right lengths, all else by chance: kinds, flags, streams, payloads."""
    chance = random.Random(SEED + 1)
    for _ in range(100):
        frames = b"".join(
            frame(
                chance.randrange(12),
                chance.randrange(256),
                chance.choice([0, 1, 2, 3, 2**31 - 1]),
                chance.randbytes(chance.randrange(40)),
            )
            for _ in range(chance.randint(1, 20))
        )
        with http2.connect(server.address) as connection:
            try:
                connection.sendall(PREFACE + SETTINGS + frame(http2.HEADERS, END_HEADERS, 1, GOOD_HEADERS) + frames)
                connection.shutdown(socket.SHUT_WR)
            except ConnectionError:
                continue
            http2.drain(connection, 0.5)


BROKEN_FRAMES = {
    "a frame of 16 MB announced": b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "half a frame": frame(http2.HEADERS, END_HEADERS, 1, GOOD_HEADERS)[:20],
    "headers on stream 0": frame(http2.HEADERS, END_HEADERS, 0, GOOD_HEADERS),
    "headers on an even stream": frame(http2.HEADERS, END_HEADERS, 2, GOOD_HEADERS),
    "headers that are no HPACK": frame(http2.HEADERS, END_HEADERS, 1, b"\xff" * 50),
    "data on an idle stream": frame(http2.DATA, END_STREAM, 5, b"hello"),
    "data on stream 0": frame(http2.DATA, 0, 0, b"hello"),
    "padding longer than the frame": frame(http2.DATA, 0x8, 1, b"\xff" + b"a" * 5),
    "a window that overflows": frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1)) * 2,
    "a window of 0": frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 0)),
    "settings of 5 bytes": frame(http2.SETTINGS, 0, 0, b"12345"),
    "settings on a stream": frame(http2.SETTINGS, 0, 1, b""),
    "a ping of 7 bytes": frame(http2.PING, 0, 0, b"1234567"),
    "a reset of an idle stream": frame(http2.RST_STREAM, 0, 9, struct.pack(">I", 8)),
    "a push from the client": frame(http2.PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + GOOD_HEADERS),
    "a continuation of nothing": frame(http2.CONTINUATION, END_HEADERS, 1, GOOD_HEADERS),
    "a frame between headers and continuation": frame(http2.HEADERS, 0, 1, GOOD_HEADERS)
    + frame(http2.PING, 0, 0, b"12345678"),
    "goodbye, then a call": frame(http2.GOAWAY, 0, 0, b"\0" * 8)
    + frame(http2.HEADERS, END_HEADERS | END_STREAM, 1, GOOD_HEADERS),
    "a kind that nobody knows": frame(0xFA, 0xFF, 1, b"x" * 100),
}


@pytest.mark.parametrize("case", BROKEN_FRAMES)
def test_broken_frames(server, still_right, case):
    with http2.connect(server.address) as connection:
        connection.sendall(PREFACE + SETTINGS + BROKEN_FRAMES[case])
        http2.drain(connection, 0.3)


FLOODS = {
    "continuations": frame(http2.HEADERS, 0, 1, GOOD_HEADERS)
    + frame(http2.CONTINUATION, 0, 1, literal_headers({"a": "b" * 100})) * 50_000,
    "settings": SETTINGS * 100_000,
    "pings": frame(http2.PING, 0, 0, b"12345678") * 100_000,
    "empty data": frame(http2.HEADERS, END_HEADERS, 1, GOOD_HEADERS) + frame(http2.DATA, 0, 1) * 100_000,
    "priorities": b"".join(frame(http2.PRIORITY, 0, 2 * n + 1, b"\0\0\0\0\x10") for n in range(50_000)),
    "calls opened and reset": b"".join(
        frame(http2.HEADERS, END_HEADERS, 2 * n + 1, GOOD_HEADERS)
        + frame(http2.RST_STREAM, 0, 2 * n + 1, struct.pack(">I", 8))
        for n in range(20_000)
    ),
}


@pytest.mark.parametrize("case", FLOODS)
def test_floods(server, still_right, case):
    before = memory_mib(server)
    with http2.connect(server.address) as connection:
        connection.settimeout(10)
        try:
            connection.sendall(PREFACE + SETTINGS + FLOODS[case])
        except (ConnectionError, TimeoutError):
            pass
        http2.drain(connection, 0.5)
    assert memory_mib(server) < before + 150


def test_half_open_connections(server, still_right):
    """Some say nothing, some stop in the middle of the preface, a frame, a message; calls go on beside them."""
    whole_call = (
        PREFACE
        + SETTINGS
        + frame(http2.HEADERS, END_HEADERS, 1, GOOD_HEADERS)
        + frame(http2.DATA, 0, 1, grpc_message(GOOD))
    )
    stops = [b"", PREFACE[:10], PREFACE, PREFACE + SETTINGS, whole_call[:60], whole_call[:-20], whole_call]
    connections = []
    try:
        for n in range(350):
            connections.append(http2.connect(server.address))
            connections[-1].sendall(stops[n % len(stops)])
        time.sleep(0.3)
        assert_right(server)
        # A third leaves without a word, a third resets.
        for n, connection in enumerate(connections):
            if n % 3 == 1:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if n % 3 != 2:
                connection.close()
        assert_right(server)
    finally:
        for connection in connections:
            connection.close()


def test_half_open_connections_do_not_hold_up_the_end():
    with Server() as server:
        connections = [http2.connect(server.address) for _ in range(20)]
        for n, connection in enumerate(connections):
            connection.sendall([b"", PREFACE[:10], PREFACE + SETTINGS, PREFACE + SETTINGS + b"\0\0"][n % 4])
        time.sleep(0.2)
        began = time.monotonic()
        assert server.stop() == 0
        # The drain's limit is 10 s.
        assert time.monotonic() - began < 5
        for connection in connections:
            connection.close()


GRPC = {
    # Headers, body, and the gRPC statuses that fit. What isn't gRPC may be refused by an HTTP status or a reset.
    "no message": (
        grpc_headers(),
        b"",
        {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT},
    ),
    "two messages": (
        grpc_headers(),
        grpc_message(GOOD) * 2,
        {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT},
    ),
    "a message shorter than it says": (
        grpc_headers(),
        grpc_message(GOOD, length=len(GOOD) + 1),
        {grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED},
    ),
    "a message longer than it says": (
        grpc_headers(),
        grpc_message(GOOD, length=len(GOOD) - 1),
        {grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT},
    ),
    "half a prefix": (
        grpc_headers(),
        b"\0\0\0",
        {grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED},
    ),
    "a message of 4 GB announced": (
        grpc_headers(),
        grpc_message(GOOD, length=2**32 - 1),
        {grpc.StatusCode.RESOURCE_EXHAUSTED},
    ),
    # The specification says INTERNAL; grpc-js takes the message as it is, which is no harm.
    "compressed, it doesn't say how": (
        grpc_headers(),
        grpc_message(GOOD, flag=1),
        {grpc.StatusCode.INTERNAL, grpc.StatusCode.OK},
    ),
    "compressed in an unknown way": (
        grpc_headers(grpc_encoding="snappy"),
        grpc_message(GOOD, flag=1),
        {grpc.StatusCode.UNIMPLEMENTED},
    ),
    "gzip that is none": (
        grpc_headers(grpc_encoding="gzip"),
        grpc_message(GOOD, flag=1),
        {grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT},
    ),
    "a deadline that is over": (
        grpc_headers(grpc_timeout="0m"),
        grpc_message(GOOD),
        {grpc.StatusCode.DEADLINE_EXCEEDED},
    ),
    "a deadline of a nanosecond": (
        grpc_headers(grpc_timeout="1n"),
        grpc_message(GOOD),
        {grpc.StatusCode.DEADLINE_EXCEEDED},
    ),
    "a deadline that is none": (
        grpc_headers(grpc_timeout="soon"),
        grpc_message(GOOD),
        {grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT},
    ),
    "a path that isn't there": (grpc_headers("/no/such"), grpc_message(GOOD), {grpc.StatusCode.UNIMPLEMENTED}),
    "JSON": (grpc_headers(content_type="application/json"), b"{}", set()),
    "no content type": (grpc_headers(content_type=None), grpc_message(GOOD), set()),
    "a GET": (grpc_headers(method="GET"), b"", {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED}),
    "details that are no base64": (
        grpc_headers(**{"x_trace_bin": "!!!not base64!!!"}),
        grpc_message(GOOD),
        {grpc.StatusCode.OK, grpc.StatusCode.INTERNAL},
    ),
    "a traceparent that is none": (grpc_headers(traceparent="00-zz"), grpc_message(GOOD), {grpc.StatusCode.OK}),
}


@pytest.mark.parametrize("case", GRPC)
def test_grpc_framing(server, still_right, case):
    headers, body, fitting = GRPC[case]
    answer = http2.call(server.address, headers, body)
    if answer.status is None:
        assert answer.reset is not None or answer.closed or int(answer.headers[":status"]) >= 400
    else:
        assert answer.status in {code.value[0] for code in fitting}, answer
    if case in ("JSON", "no content type"):
        assert answer.headers[":status"] == "415"


@pytest.mark.parametrize("timeout", ["500H", "30000M", "1000000S"])
def test_a_deadline_of_weeks(server, timeout):
    """Up to 2^31 ms; beyond that grpc-js itself miscounts."""
    assert http2.call(server.address, grpc_headers(grpc_timeout=timeout), grpc_message(GOOD)).status == 0


def test_whoever_asks_and_does_not_read_is_not_stored_for(server, still_right):
    """On one stream questions without an end, with answers a hundred times as long; the client's own window is 0."""
    question = b"\x22\x1bscorewire.v1.ScoringService"
    before = memory_mib(server)
    sent = 0
    http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    http.local_settings = h2.settings.Settings(initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    http.initiate_connection()
    http.send_headers(1, list(grpc_headers("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo").items()))
    with http2.connect(server.address) as connection:
        connection.settimeout(2)
        try:
            while sent < 300_000:
                while http.local_flow_control_window(1) > 10_000:
                    http.send_data(1, grpc_message(question) * 100)
                    sent += 100
                connection.sendall(http.data_to_send())
                http.receive_data(connection.recv(65536))
        # The server stopped reading, as it should, or hung up.
        except (TimeoutError, ConnectionError, h2.exceptions.ProtocolError):
            pass
        grown = memory_mib(server) - before
    assert grown < 60, f"{grown:.0f} MiB for {sent} questions whose answers nobody reads"


def test_a_call_that_is_hard_to_refuse_does_not_hold_up_the_others(server, still_right):
    """As much as a message may hold of what the server has to find fault with, while somebody else calls."""
    many_names = {f"feature{n:x}": scoring_pb2.Value() for n in range(180_000)}
    hard = {
        "names that are not there": scoring_pb2.ScoreRequest(
            model="churn", row=scoring_pb2.Row(named=scoring_pb2.NamedRow(values=many_names))
        ),
        "a name of 4 MB": scoring_pb2.ScoreRequest(
            model="churn",
            row=scoring_pb2.Row(named=scoring_pb2.NamedRow(values={"n" * 4_000_000: scoring_pb2.Value()})),
        ),
        "a model's name of 4 MB": scoring_pb2.ScoreRequest(
            model="m" * 4_000_000, row=EXAMPLE_MODELS["churn"].request().row
        ),
    }
    slow = {}
    with server.channel() as loud, server.channel() as quiet:
        scoring_pb2_grpc.ScoringServiceStub(quiet).Score(EXAMPLE_MODELS["churn"].request(), timeout=20)
        for name, request in hard.items():
            future = scoring_pb2_grpc.ScoringServiceStub(loud).Score.future(request, timeout=20)
            longest = 0.0
            while not future.done():
                began = time.monotonic()
                scoring_pb2_grpc.ScoringServiceStub(quiet).Score(EXAMPLE_MODELS["churn"].request(), timeout=20)
                longest = max(longest, time.monotonic() - began)
            assert future.exception().code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
            if longest > 0.5:
                slow[name] = f"{longest:.2f} s"
    assert slow == {}
