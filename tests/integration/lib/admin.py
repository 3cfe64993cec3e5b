"""The admin listener's client, and a strict reader of what /metrics says."""

import http.client
import json
import re
import socket

from lib.env import DEADLINE

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.fields = {name.lower(): value for name, value in response.getheaders()}
        self.text = body.decode("utf-8")

    @property
    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return f"{self.status} {self.fields} {self.text!r}"


class Admin:
    """`address` as the log's `ready` has it."""

    def __init__(self, address):
        self.address = address

    def ask(self, method, path, **headers):
        if self.address.startswith("unix:"):
            connection = UnixConnection(self.address[len("unix:") :])
        else:
            host, port = self.address.rsplit(":", 1)
            connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=DEADLINE)
        try:
            connection.request(method, path, headers={name.capitalize(): value for name, value in headers.items()})
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def delete(self, path, **headers):
        return self.ask("DELETE", path, **headers)

    def sessions(self, query=""):
        answer = self.get("/sessions" + query)
        assert answer.status == 200, answer
        assert answer.json["silent_workers"] == [], answer
        return answer.json["sessions"]

    def metrics(self):
        answer = self.get("/metrics")
        assert answer.status == 200, answer
        assert answer.fields["content-type"].startswith("text/plain; version=0.0.4"), answer
        return Metrics(answer.text)


class Metrics:
    """Fails where the text is not what Prometheus reads, or breaks its customs."""

    def __init__(self, text):
        self.text = text
        self.types = {}
        self.helps = {}
        self.series = {}
        assert text.endswith("\n")
        family = None
        for line in text.splitlines():
            if line.startswith("#"):
                family = self._comment(line, family)
            else:
                self._sample(line, family)
        assert set(self.types) == set(self.helps)
        self._histograms()

    def _comment(self, line, family):
        _, kind, name, rest = line.split(" ", 3)
        assert NAME.fullmatch(name) and name.startswith("sluice_"), line
        if kind == "HELP":
            assert name not in self.helps and rest.strip(), line
            self.helps[name] = rest
        else:
            assert kind == "TYPE" and name == family and name not in self.types, line
            assert rest in ("gauge", "counter", "histogram"), line
            assert (rest == "counter") == name.endswith("_total"), line
            self.types[name] = rest
        return name

    def _sample(self, line, family):
        name, labels, value = re.fullmatch(r"([^{ ]+)(?:\{(.*)\})? ([^ ]+)", line).groups()
        base = re.sub("_(bucket|sum|count)$", "", name) if self.types[family] == "histogram" else name
        assert base == family, f"{line} below {family}"
        found, at = [], 0
        while labels and at < len(labels):
            match = LABEL.match(labels, at)
            assert match, line
            found.append((match[1], match[2]))
            at = match.end()
        assert len(dict(found)) == len(found), line
        key = (name, *sorted(found))
        assert key not in self.series, f"twice: {line}"
        self.series[key] = float(value)
        assert self.series[key] >= 0, line

    def _histograms(self):
        for name in [name for name, kind in self.types.items() if kind == "histogram"]:
            by_labels = {}
            for key, value in self.series.items():
                if key[0] == name + "_bucket":
                    labels = dict(key[1:])
                    bound = float(labels.pop("le"))
                    by_labels.setdefault(tuple(sorted(labels.items())), []).append((bound, value))
            for labels, buckets in by_labels.items():
                assert buckets == sorted(buckets), name
                assert [value for _, value in buckets] == sorted(value for _, value in buckets), name
                assert buckets[-1][0] == float("inf")
                assert buckets[-1][1] == self.series[(name + "_count", *labels)]
                assert (name + "_sum", *labels) in self.series

    def get(self, name, **labels):
        return self.series[(name, *sorted(labels.items()))]

    def sum(self, name, **labels):
        """Over all other labels."""
        want = set(labels.items())
        return sum(value for key, value in self.series.items() if key[0] == name and want <= set(key[1:]))

    def not_before(self, earlier):
        """No counter went back, none is gone."""
        for key, value in earlier.series.items():
            name = re.sub("_(bucket|sum|count)$", "", key[0])
            kind = self.types.get(key[0]) or self.types.get(name)
            if kind != "gauge":
                assert self.series.get(key, -1) >= value, f"{key} went from {value} to {self.series.get(key)}"
