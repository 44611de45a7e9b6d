"""A program in Go, whose stubs protoc made from our proto/."""

import os
import re
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(os.environ["FOREIGN_GO"])
TESTS = re.findall(r"^func (Test\w+)\(", (FOLDER / "client_test.go").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("go") / "client"
    subprocess.run(["go", "vet", "."], cwd=FOLDER, check=True, timeout=600)
    subprocess.run(["go", "test", "-c", "-o", made, "."], cwd=FOLDER, check=True, timeout=600)
    return made


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TESTS)
def test_go(server, program, name):
    done = subprocess.run(
        [program, "-test.run", f"^{name}$", "-test.v"],
        env={**os.environ, "SCOREWIRE_ADDRESS": server.address},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"--- PASS: {name} " in done.stdout
