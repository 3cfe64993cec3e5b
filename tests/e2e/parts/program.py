"""Programs that a test starts, watches by their lines and ends; and waiting with a deadline."""

import os
import re
import signal
import socket
import subprocess
import threading
import time

PATIENCE_S = float(os.environ.get("SLUICE_E2E_PATIENCE_S", "30"))


def wait_until(question, what, patience_s=PATIENCE_S):
    """Asks until the answer is true and gives it back; for things that no event tells of."""
    deadline = time.monotonic() + patience_s
    while not (answer := question()):
        assert time.monotonic() < deadline, f"not in {patience_s:g} s: {what}"
        time.sleep(0.02)
    return answer


def free_port():
    """A port for a program that cannot choose one itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A child in a process group of its own, its output and standard error read line by line.

    `end` signals that group alone, so nothing but what the test started is ended.
    """

    def __init__(self, argv, **options):
        self.argv = [str(word) for word in argv]
        self.lines = []
        self.ended = False
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
        self.pid = self.process.pid
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for raw in self.process.stdout:
            with self.changed:
                self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def find(self, pick, what, patience_s=PATIENCE_S, start=0):
        """The first true answer of `pick` to a line, now or until the deadline."""
        deadline = time.monotonic() + patience_s
        seen = start
        with self.changed:
            while True:
                while seen < len(self.lines):
                    if answer := pick(self.lines[seen]):
                        return answer
                    seen += 1
                left_s = deadline - time.monotonic()
                assert not self.ended, f"{self.argv[0]} ended before {what}:\n{self.text()}"
                assert left_s > 0, f"{self.argv[0]}: not in {patience_s:g} s: {what}:\n{self.text()}"
                self.changed.wait(left_s)

    def wait_line(self, pattern, patience_s=PATIENCE_S, start=0):
        return self.find(re.compile(pattern).search, f"a line with {pattern}", patience_s, start)

    def text(self):
        return "\n".join(self.lines[-100:])

    def end(self, number=signal.SIGTERM, patience_s=PATIENCE_S):
        """Signals the program, and kills what of it is left at the deadline. Answers its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        status = self.process.wait()
        self.reader.join(patience_s)
        self.process.stdout.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
