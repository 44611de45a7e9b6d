"""HTTP/2 by hand: frames that no library would send, and gRPC calls whose framing is wrong."""

import socket
import struct
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
INITIAL_WINDOW_SIZE = 0x4

SCORE_PATH = "/scorewire.v1.ScoringService/Score"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values: int) -> bytes:
    names = {"window": INITIAL_WINDOW_SIZE}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", names[name], value) for name, value in values.items()))


def literal_headers(headers: dict[str, str]) -> bytes:
    """HPACK without its table, and without Huffman: lengths below 127 only."""
    out = b""
    for name, value in headers.items():
        out += b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return out


def grpc_headers(path: str = SCORE_PATH, **changes: str | None) -> dict[str, str]:
    """The headers of a good call; `changes` by name with _ for -, None takes one out."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "127.0.0.1",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    for name, value in changes.items():
        name = name.replace("_", "-") if name not in ("method", "scheme", "path") else f":{name}"
        headers.pop(name, None)
        if value is not None:
            headers[name] = value
    return headers


def grpc_message(message: bytes, flag: int = 0, length: int | None = None) -> bytes:
    return struct.pack(">BI", flag, len(message) if length is None else length) + message


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def drain(connection: socket.socket, seconds: float) -> bytes:
    """What the server says until it closes, or the time is over."""
    connection.settimeout(seconds)
    said = b""
    try:
        while chunk := connection.recv(65536):
            said += chunk
    except (TimeoutError, ConnectionError):
        pass
    return said


@dataclass
class Answer:
    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    reset: int | None = None
    closed: bool = False

    @property
    def status(self) -> int | None:
        """gRPC's; None where there is none."""
        return int(self.headers["grpc-status"]) if "grpc-status" in self.headers else None


def call(address: str, headers: dict[str, str], body: bytes = b"", seconds: float = 5) -> Answer:
    """One request of at most 64 KB, its answer as it came over the wire."""
    http = h2.connection.H2Connection(
        h2.config.H2Configuration(validate_outbound_headers=False, header_encoding="utf-8")
    )
    http.initiate_connection()
    http.send_headers(1, list(headers.items()), end_stream=not body)
    for at in range(0, len(body), http.max_outbound_frame_size):
        end = at + http.max_outbound_frame_size
        http.send_data(1, body[at:end], end_stream=end >= len(body))
    answer = Answer()
    with connect(address) as connection:
        connection.settimeout(seconds)
        connection.sendall(http.data_to_send())
        while True:
            chunk = connection.recv(65536)
            if not chunk:
                answer.closed = True
                return answer
            for event in http.receive_data(chunk):
                match event:
                    case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                        answer.headers.update(event.headers)
                    case h2.events.DataReceived():
                        answer.data += event.data
                        http.acknowledge_received_data(event.flow_controlled_length, 1)
                    case h2.events.StreamReset():
                        answer.reset = event.error_code
                        return answer
                    case h2.events.StreamEnded():
                        return answer
                    case h2.events.ConnectionTerminated():
                        answer.closed = True
                        return answer
            connection.sendall(http.data_to_send())
