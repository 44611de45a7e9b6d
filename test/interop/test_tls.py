"""TLS and mTLS, with certificates that openssl made."""

import re
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode
from scorewire.v1 import scoring_pb2_grpc

from support.examples import EXAMPLE_MODELS
from support.programs import grpcurl, paste, run
from support.server import Server, channel

CHURN = EXAMPLE_MODELS["churn"]
NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class Authority:
    """A folder with a key and a certificate that signs others."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        self.cert = folder / "ca.pem"
        openssl(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=Interop CA",
            "-keyout",
            folder / "ca.key",
            "-out",
            self.cert,
        )

    def sign(self, name: str) -> tuple[Path, Path]:
        cert, key, request, names = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr", "ext"))
        openssl(
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            f"/CN={name}",
            "-keyout",
            key,
            "-out",
            request,
        )
        names.write_text(NAMES)
        openssl(
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            request,
            "-CA",
            self.cert,
            "-CAkey",
            self.folder / "ca.key",
            "-CAcreateserial",
            "-extfile",
            names,
            "-out",
            cert,
        )
        return cert, key


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("self-signed")
    cert, key = folder / "cert.pem", folder / "key.pem"
    openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        NAMES,
        "-keyout",
        key,
        "-out",
        cert,
    )
    return cert, key


@pytest.fixture(scope="module")
def tls(self_signed):
    cert, key = self_signed
    with Server("--tls-cert", str(cert), "--tls-key", str(key)) as server:
        yield server
        assert server.stop() == 0


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ours") / "ca")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("theirs") / "ca")


@pytest.fixture(scope="module")
def mutual(ours):
    cert, key = ours.sign("server")
    with Server("--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(ours.cert)) as server:
        yield server
        assert server.stop() == 0


def trusting(cert: Path, pair: tuple[Path, Path] | None = None) -> grpc.ChannelCredentials:
    chain, key = (pair[0].read_bytes(), pair[1].read_bytes()) if pair else (None, None)
    return grpc.ssl_channel_credentials(cert.read_bytes(), key, chain)


def score(address: str, credentials: grpc.ChannelCredentials | None) -> StatusCode:
    """OK only for the right score."""
    with channel(address, credentials) as connected:
        stub = scoring_pb2_grpc.ScoringServiceStub(connected)
        try:
            assert CHURN.difference(CHURN.golden[0], stub.Score(CHURN.request(), timeout=5)) == ""
            return StatusCode.OK
        except grpc.RpcError as error:
            return error.code()


def test_tls(tls, self_signed):
    assert score(tls.address, trusting(self_signed[0])) == StatusCode.OK


def test_tls_refuses_a_client_that_does_not_trust_it(tls, theirs):
    assert score(tls.address, trusting(theirs.cert)) == StatusCode.UNAVAILABLE


def test_tls_refuses_plain_text(tls):
    assert score(tls.address, None) == StatusCode.UNAVAILABLE


def test_tls_refuses_old_versions(tls, self_signed):
    host, _, port = tls.address.rpartition(":")
    for version in ("-tls1", "-tls1_1"):
        assert run("openssl", "s_client", "-connect", f"{host}:{port}", version, seconds=20).code != 0


def test_tls_with_grpcurl(tls, self_signed):
    assert "scorewire.v1.ScoringService" in grpcurl("-cacert", str(self_signed[0]), tls.address, "list").out
    assert grpcurl(tls.address, "list").code != 0


@pytest.mark.parametrize("program", ["grpcurl", "npx scorewire score"])
def test_tls_lines_of_the_log(tls, program):
    done = paste(tls.hint(program))
    assert done.json["score"] == pytest.approx(CHURN.golden[0]["score"], abs=CHURN.tolerance, rel=0)
    assert done.err == ""


def test_tls_of_the_http_port(tls, self_signed):
    trust = ssl.create_default_context(cafile=str(self_signed[0]))
    with urllib.request.urlopen(f"https://{tls.http}/readyz", timeout=10, context=trust) as response:
        assert response.status == 200


def test_mutual_tls(mutual, ours):
    assert score(mutual.address, trusting(ours.cert, ours.sign("client"))) == StatusCode.OK


def test_mutual_tls_refuses_a_client_without_a_certificate(mutual, ours):
    assert score(mutual.address, trusting(ours.cert)) == StatusCode.UNAVAILABLE


def test_mutual_tls_refuses_a_certificate_of_another_authority(mutual, ours, theirs):
    assert score(mutual.address, trusting(ours.cert, theirs.sign("client"))) == StatusCode.UNAVAILABLE


def test_mutual_tls_with_grpcurl(mutual, ours):
    cert, key = ours.sign("grpcurl")
    good = grpcurl("-cacert", str(ours.cert), "-cert", str(cert), "-key", str(key), mutual.address, "list")
    assert "scorewire.v1.ScoringService" in good.out
    assert grpcurl("-cacert", str(ours.cert), mutual.address, "list").code != 0


def test_mutual_tls_with_scorewire_score(mutual, ours):
    cert, key = ours.sign("cli")
    words = ["npx", "scorewire", "score", "churn", "--address", mutual.address, "--ca", str(ours.cert), "--row", "{}"]
    refused = run(*words)
    assert refused.code == 1 and "UNAVAILABLE" in refused.err
    # The row is wrong, and that is said by the server behind the handshake.
    assert "tenure_months" in run(*words, "--cert", str(cert), "--key", str(key)).err


def test_mutual_tls_of_the_http_port(mutual, ours):
    trust = ssl.create_default_context(cafile=str(ours.cert))
    with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
        urllib.request.urlopen(f"https://{mutual.http}/readyz", timeout=10, context=trust)
    trust.load_cert_chain(*map(str, ours.sign("prober")))
    with urllib.request.urlopen(f"https://{mutual.http}/readyz", timeout=10, context=trust) as response:
        assert response.status == 200


@pytest.mark.parametrize("program", ["grpcurl", "npx scorewire score"])
def test_mutual_tls_lines_of_the_log(mutual, ours, program):
    """They can't know the client's certificate, but must say where it goes."""
    cert, key = ours.sign("reader")
    line = mutual.hint(program)
    place = re.search(r"-cert (\S+) --?key (\S+)", line)
    assert place is not None, line
    for stand_in, file in zip(place.groups(), (cert, key), strict=True):
        line = line.replace(stand_in, str(file))
    # The authority is another file here than the server's own certificate.
    line = line.replace(str(ours.folder / "server.pem"), str(ours.cert))
    assert paste(line).json["model"] == "churn"
