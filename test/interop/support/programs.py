"""Programs from a shell, as one would type them."""

import json
import subprocess
from dataclasses import dataclass

from support.server import ROOT


@dataclass(frozen=True)
class Output:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        assert self.code == 0, self
        return json.loads(self.out)


def run(*words: str, seconds: float = 60) -> Output:
    done = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
    return Output(done.returncode, done.stdout, done.stderr)


def paste(line: str, seconds: float = 60) -> Output:
    """A whole line into a shell that stands in the checkout."""
    return run("bash", "-c", line, seconds=seconds)


def grpcurl(*words: str) -> Output:
    return run("grpcurl", "-max-time", "20", *words)
