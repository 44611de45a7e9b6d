"""MLPerf's LoadGen asks, ModelInfer answers."""

import sys
from pathlib import Path

import pytest

from support.programs import run

ADAPTER = Path(__file__).parent / "loadgen_adapter.py"


@pytest.mark.parametrize("scenario", ["SingleStream", "Server"])
def test_a_short_run(server, scenario, tmp_path):
    said = run(sys.executable, str(ADAPTER), server.address, scenario, str(tmp_path), seconds=120).json
    assert said["answered"] >= 100 and said["wrong"] == 0
    assert said["summary"]["Scenario"] == scenario
    assert said["summary"]["Result is"] == "VALID", said["summary"]
