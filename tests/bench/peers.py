"""What is measured: Sluice, its peers, and the floor. Each is started afresh for every cell of the table."""

import glob
import os
import shutil
import subprocess
import time

PORT = 7100
WORKER_S = 5


class Peer:
    name = ""
    schemes = ("ws", "wss")
    framed = False  # speaks WebSocket; the others relay the same payload without
    package = ""
    patient = True  # measured in every round; else in the first alone

    def __init__(self, bench):
        self.bench = bench  # has .folder (scratch), .out (build/bench), .sluice, .certificate, .key, .pem

    def program(self):
        return shutil.which(self.package, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

    def missing(self):
        return None if self.program() else f"{self.package} is not installed (make bench-deps)"

    def version(self):
        return ""

    def command(self, scheme, target_port):
        raise NotImplementedError

    def relaying(self, pid):
        """Which process relays, of what was started as `pid`."""
        return pid

    def write(self, name, text):
        path = os.path.join(self.bench.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def first_line(self, *arguments):
        command = [self.program(), *arguments]
        said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return (said.stdout.decode(errors="replace").splitlines() or [""])[0]


class Sluice(Peer):
    name = "sluice"
    framed = True

    def program(self):
        return self.bench.sluice if os.access(self.bench.sluice, os.X_OK) else None

    def missing(self):
        return None if self.program() else f"{self.bench.sluice} is not built (make)"

    def version(self):
        return self.first_line("--version")

    def command(self, scheme, target_port):
        tls = (
            f", tls: {{certificates: {{cert: '{self.bench.certificate}', key: '{self.bench.key}'}}}}"
            if scheme == "wss"
            else ""
        )
        config = self.write(
            "sluice.yaml",
            "workers: 1\n"
            f"listen: {{address: '127.0.0.1:{PORT}'{tls}}}\n"
            f"routes: {{path: /*, target: 'tcp://127.0.0.1:{target_port}'}}\n",
        )
        return [self.program(), "-c", config]

    def relaying(self, pid):
        """Its one worker, which may be a moment later than its port."""
        end = time.monotonic() + WORKER_S
        while time.monotonic() < end:
            for stat in glob.glob("/proc/[0-9]*/stat"):
                try:
                    with open(stat, encoding="latin-1") as file:
                        number, _, rest = file.read().partition(" (sluice worker) ")
                except OSError:
                    continue  # it has just ended
                if rest and int(rest.split()[1]) == pid:
                    return int(number)
            time.sleep(0.01)
        raise RuntimeError("sluice has no worker")


class Haproxy(Peer):
    name = "haproxy"
    package = "haproxy"

    def version(self):
        return " ".join(self.first_line("-v").split()[:3])

    def command(self, scheme, target_port):
        tls = f" ssl crt {self.bench.pem}" if scheme == "wss" else ""
        config = self.write(
            "haproxy.cfg",
            "global\n    nbthread 1\n    maxconn 9900\n"
            "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 10m\n    timeout server 10m\n"
            f"listen bench\n    bind 127.0.0.1:{PORT}{tls}\n    server backend 127.0.0.1:{target_port}\n",
        )
        return [self.program(), "-db", "-f", config]


class Nginx(Peer):
    name = "nginx"
    package = "nginx"

    MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

    def missing(self):
        if super().missing() is None and not os.path.exists(self.MODULE):
            return "libnginx-mod-stream is not installed (make bench-deps)"
        return super().missing()

    def version(self):
        return self.first_line("-v").removeprefix("nginx version: ")

    def command(self, scheme, target_port):
        tls = " ssl" if scheme == "wss" else ""
        certificate = (
            f"ssl_certificate {self.bench.certificate}; ssl_certificate_key {self.bench.key};"
            " ssl_protocols TLSv1.2 TLSv1.3;"
            if tls
            else ""
        )
        user = "user root;" if os.geteuid() == 0 else ""
        config = self.write(
            "nginx.conf",
            f"load_module {self.MODULE};\n{user} daemon off; worker_processes 1; pid {self.bench.folder}/nginx.pid;\n"
            f"error_log {self.bench.folder}/nginx.log; events {{ worker_connections 19900; }}\n"
            f"stream {{ server {{ listen 127.0.0.1:{PORT}{tls} backlog=4096; {certificate}"
            f" proxy_pass 127.0.0.1:{target_port}; }} }}\n",
        )
        return [self.program(), "-p", self.bench.folder, "-e", f"{self.bench.folder}/nginx.log", "-c", config]


class Hitch(Peer):
    name = "hitch"
    package = "hitch"
    schemes = ("wss",)

    def version(self):
        return self.first_line("--version")

    def command(self, scheme, target_port):
        config = self.write(
            "hitch.conf",
            f'frontend = {{ host = "127.0.0.1" port = "{PORT}" }}\nbackend = "[127.0.0.1]:{target_port}"\n'
            f'pem-file = "{self.bench.pem}"\nworkers = 1\ndaemon = off\nlog-level = 0\nocsp-dir = ""\nbacklog = 4096\n'
            'user = "nobody"\ngroup = "nogroup"\ntls-protos = TLSv1.2 TLSv1.3\n',
        )
        return [self.program(), f"--config={config}"]


class Websockify(Peer):
    name = "websockify"
    package = "websockify"
    framed = True
    patient = False

    def version(self):
        said = subprocess.run(
            ["dpkg-query", "-W", "-f", "websockify ${Version}", "python3-websockify"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return said.stdout.decode()

    def command(self, scheme, target_port):
        tls = ["--cert", self.bench.certificate, "--key", self.bench.key, "--ssl-only"] if scheme == "wss" else []
        return ["/usr/bin/python3", self.program(), *tls, f"127.0.0.1:{PORT}", f"127.0.0.1:{target_port}"]


class Floor(Peer):
    name = "floor"
    schemes = ("ws",)

    def program(self):
        return os.path.join(self.bench.out, "floor")

    def version(self):
        return "tests/bench/floor.c"

    def command(self, scheme, target_port):
        return [self.program(), str(PORT), str(target_port)]


ALL = [Sluice, Haproxy, Floor, Nginx, Hitch, Websockify]
