"""A server of this checkout on ports of its own, as somebody starts it from a shell."""

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import grpc

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "models"
SLOW = ROOT / "bench" / "models"

START_SECONDS = 30
# The drain's own limit, and some time to end the workers.
STOP_SECONDS = 20


class Server:
    """Runs from `start` to `stop`; its log is read as it comes. Ports are free ones unless `flags` say otherwise."""

    def __init__(self, *flags: str, models: Path = EXAMPLES, command: tuple[str, ...] = ()):
        self.command = command or ("node", "bin/scorewire.js", "serve", "--models", str(models))
        self.flags = (*(() if "--port" in flags else ("--port", "0")), "--http-port", "0", *flags)
        self.log: list[dict] = []
        self.other_output: list[str] = []
        self.address = ""
        self.http = ""
        self._news = threading.Condition()
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, wait: bool = True) -> "Server":
        # A group of its own, so that nothing is left behind even where the launcher dies first.
        self._process = subprocess.Popen(
            [*self.command, *self.flags],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=[self._process.stdout], daemon=True)
        self._reader.start()
        if wait:
            self.wait_serving()
        return self

    def wait_serving(self) -> None:
        line = self.wait_log(lambda line: line.get("msg") == "SERVING", START_SECONDS)
        self.address, self.http = line["grpc"], line["http"]

    def _read(self, output) -> None:
        for text in output:
            with self._news:
                try:
                    self.log.append(json.loads(text))
                except ValueError:
                    self.other_output.append(text.rstrip())
                self._news.notify_all()

    def wait_log(self, wanted, seconds: float = 5) -> dict:
        """The first line of the log that `wanted` holds for."""
        end = time.monotonic() + seconds
        with self._news:
            while True:
                for line in self.log:
                    if wanted(line):
                        return line
                if time.monotonic() > end or not self._reader.is_alive():
                    said = [*self.other_output, *(json.dumps(line) for line in self.log)]
                    raise AssertionError("the server's log lacks a line; it has:\n" + "\n".join(said[-20:]))
                self._news.wait(0.1)

    def hint(self, program: str) -> str:
        """The command line that the log offers to try, as one would paste it."""
        start = f"try: {program} "
        return self.wait_log(lambda line: line.get("msg", "").startswith(start))["msg"].removeprefix("try: ")

    @property
    def pid(self) -> int:
        return self._process.pid

    def channel(self, **options) -> grpc.Channel:
        return channel(self.address, **options)

    def signal(self, number: int = signal.SIGTERM) -> None:
        """To the process that was started alone, as a supervisor does."""
        self._process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """As Ctrl-C in a terminal does."""
        os.killpg(self._process.pid, number)

    def running(self) -> bool:
        return self._process.poll() is None

    def wait_exit(self, seconds: float = STOP_SECONDS) -> int:
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server still runs after {seconds} s") from None
        # The log's end, unless somebody outlived it who still holds the pipe.
        self._reader.join(2)
        return code

    def stop(self) -> int:
        """The exit code of a plain SIGTERM."""
        self.signal()
        return self.wait_exit()

    def kill(self) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()


def channel(address: str, credentials: grpc.ChannelCredentials | None = None, **options) -> grpc.Channel:
    """A connection of its own: Python's channels to one address share theirs unless told not to."""
    pairs = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    pairs += [(f"grpc.{name}", value) for name, value in options.items()]
    if credentials is not None:
        return grpc.secure_channel(address, credentials, pairs)
    return grpc.insecure_channel(address, pairs)
