"""h2spec, which asks an HTTP/2 server for every MUST of RFC 9113 and RFC 7541, against our HTTP/2 without gRPC on it."""

import subprocess
import xml.etree.ElementTree as xml

from support.programs import run
from support.server import ROOT

CASES = 145
# The one that the project brings along, where it has one for this machine.
PINNED = ROOT / "node_modules" / ".bin" / "node"
NODE = PINNED if PINNED.exists() else "node"


def test_h2spec(tmp_path):
    report = tmp_path / "h2spec.xml"
    with subprocess.Popen([str(NODE), "test/interop/http2-server.ts"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = server.stdout.readline().strip()
            run("h2spec", "-h", "127.0.0.1", "-p", port, "--strict", "--junit-report", str(report))
        finally:
            server.terminate()
    suites = xml.parse(report).getroot().iter("testsuite")
    cases = [case for suite in suites for case in suite.iter("testcase")]
    wrong = [
        f"{case.get('package')} {case.get('classname')}"
        for case in cases
        if any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
    ]
    assert wrong == []
    assert len(cases) >= CASES
