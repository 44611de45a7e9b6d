"""Triton's client and perf_analyzer's way over TLS."""

import subprocess

import pytest
import tritonclient.grpc as triton

from support.server import Server
from tools.simple import addends, inputs_of, is_right


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*made, *names, "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    return cert, key


def test_tls(certificate, repositories):
    cert, key = certificate
    with Server("--tls-cert", str(cert), "--tls-key", str(key), models=repositories / "explicit") as server:
        address = f"localhost:{server.address.rpartition(':')[2]}"
        with triton.InferenceServerClient(address, ssl=True, root_certificates=str(cert)) as client:
            assert client.is_server_live()
            values = addends(4)
            assert is_right(client.infer("simple", inputs_of(values)), values)
        assert server.stop() == 0
