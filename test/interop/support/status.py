"""Errors as a client of Google's error model reads them."""

import re
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

# What would give our insides away.
INSIDES = re.compile(r"\n\s+at |node_modules|\.[tj]s:\d|file://|/src/")


@dataclass(frozen=True)
class Failure:
    code: grpc.StatusCode
    message: str
    details: dict[str, Message]
    trailers: dict[str, str | bytes]

    @property
    def reason(self) -> str:
        return self.details["ErrorInfo"].reason

    @property
    def metadata(self) -> dict[str, str]:
        return dict(self.details["ErrorInfo"].metadata)

    @property
    def fields(self) -> dict[str, str]:
        """Descriptions by field."""
        if "BadRequest" not in self.details:
            return {}
        return {entry.field: entry.description for entry in self.details["BadRequest"].field_violations}

    @property
    def retry_ms(self) -> float | None:
        if "RetryInfo" not in self.details:
            return None
        return self.details["RetryInfo"].retry_delay.ToTimedelta().total_seconds() * 1000


def failure_of(error: grpc.RpcError) -> Failure:
    """The error with its details decoded, once it is sure that they agree with the status."""
    status = rpc_status.from_call(error)
    details = {}
    if status is not None:
        # from_call itself raises where code or message differ from the status's.
        for packed in status.details:
            name = packed.type_url.rpartition(".")[2]
            details[name] = getattr(error_details_pb2, name)()
            assert packed.Unpack(details[name]), f"{packed.type_url} does not hold a {name}"
    assert not INSIDES.search(error.details() or ""), f"the message shows our insides: {error.details()}"
    if "ErrorInfo" in details:
        assert details["ErrorInfo"].domain == "scorewire"
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*[A-Z0-9]", details["ErrorInfo"].reason)
    return Failure(error.code(), error.details() or "", details, dict(error.trailing_metadata() or ()))


def refused(call, request, timeout: float = 10, **kwargs) -> Failure:
    """The failure of a call that must fail."""
    with pytest.raises(grpc.RpcError) as raised:
        call(request, timeout=timeout, **kwargs)
    return failure_of(raised.value)
