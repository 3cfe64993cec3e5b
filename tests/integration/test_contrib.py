"""The files of contrib/ that people copy: what the programs they are for say to them, and the gateway to the
configurations in them. tests/e2e/test_front.py runs HAProxy and nginx with theirs."""

import getpass
import grp
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest
import yaml
from lib.env import DEADLINE, ROOT, SANITIZED, SLUICE, UNDER_VALGRIND
from lib.gateway import children, parse_line, run_sluice
from lib.target import echo
from lib.wait import until
from lib.ws import Client, request

CONTRIB = ROOT / "contrib"
SBIN = f"{os.environ['PATH']}:/usr/sbin:/sbin"

FOLDERS = ("docker", "haproxy", "kubernetes", "logrotate", "nginx", "systemd")
FILES = sorted(
    str(file.relative_to(CONTRIB)) for folder in FOLDERS for file in (CONTRIB / folder).rglob("*") if file.is_file()
)

# Configurations of the gateway, and what of the machine that they are for is replaced here.
CONFIGURATIONS = {
    "docker/novnc.yaml": ["/run/sluice/", "/usr/share/novnc", "tcp://desktop:"],
    "haproxy/sluice-proxy-v2.yaml": [],
    "haproxy/sluice-tls-passthrough.yaml": ["server.crt", "server.key"],
    "kubernetes/replicas.yaml": ["/tls/tls.crt", "/tls/tls.key", "desk-0.desk", "desk-1.desk"],
    "kubernetes/sidecar.yaml": ["/tls/tls.crt", "/tls/tls.key"],
    "nginx/sluice.yaml": ["/run/sluice/"],
    "systemd/sluice.yaml": ["server.crt", "server.key", "/run/sluice/", "/var/log/sluice/"],
}

OTHERS = {
    "docker/Dockerfile", "docker/README.md", "docker/collect", "docker/compose.yaml", "docker/desktop",
    "docker/desktop.Dockerfile", "haproxy/proxy-v2.cfg", "haproxy/tls-passthrough.cfg", "kubernetes/README.md",
    "logrotate/sluice", "nginx/sluice.conf", "systemd/README.md", "systemd/low-ports.conf", "systemd/sluice.service",
    "systemd/sluice.socket", "systemd/sluice.sysusers",
}  # fmt: skip


def read(file):
    return (CONTRIB / file).read_text(encoding="utf-8")


def run(*argv, **options):
    """Standard output and standard error as one text, of a program that has to end well."""
    done = subprocess.run(
        [str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        text=True, timeout=60, check=False, **options,
    )  # fmt: skip
    assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}"
    return done.stdout


def needs(program):
    if not shutil.which(program, path=SBIN):
        pytest.skip(f"{program} is not installed")


def test_each_file_is_looked_at():
    assert set(FILES) == set(CONFIGURATIONS) | OTHERS


def configuration_of(file):
    if not file.startswith("kubernetes/"):
        return read(file)
    maps = [one for one in yaml.safe_load_all(read(file)) if one["kind"] == "ConfigMap"]
    assert [list(one["data"]) for one in maps] == [["sluice.yaml"]]
    return maps[0]["data"]["sluice.yaml"]


@pytest.mark.parametrize("file", CONFIGURATIONS)
def test_configurations_are_fine(file, tmp_path, certs):
    text = configuration_of(file)
    here = {
        "server.crt": certs / "server.crt", "server.key": certs / "server.key", "/tls/tls.crt": certs / "server.crt",
        "/tls/tls.key": certs / "server.key", "/usr/share/novnc": tmp_path, "tcp://desktop:": "tcp://127.0.0.1:",
        "desk-0.desk": "127.0.0.1", "desk-1.desk": "127.0.0.2",
    }  # fmt: skip
    for name in CONFIGURATIONS[file]:
        assert name in text
        text = text.replace(name, str(here.get(name, f"{tmp_path}/")))
    (tmp_path / "sluice.yaml").write_text(text, encoding="utf-8")
    done = run_sluice("check", "-c", tmp_path / "sluice.yaml")
    assert (done.returncode, done.stderr) == (0, "")


# ---- scale.md


def blocks(form):
    return re.findall(rf"^```{form}\n(.*?)^```", read("scale.md"), re.S | re.M)


def test_the_configuration_of_scale_is_fine(tmp_path):
    (block,) = blocks("yaml")
    text = 'listen: {address: "127.0.0.1:0"}\nroutes: {target: "tcp://127.0.0.1:9"}\n' + block
    (tmp_path / "sluice.yaml").write_text(text, encoding="utf-8")
    done = run_sluice("check", "-c", tmp_path / "sluice.yaml")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_kernel_knows_what_scale_sets():
    (block,) = blocks("")
    names = [line.split(" = ")[0] for line in block.splitlines() if not line.startswith("#")]
    assert len(names) >= 8
    for name in names:
        assert "conntrack" in name or os.path.exists("/proc/sys/" + name.replace(".", "/")), name


# ---- systemd


@pytest.fixture
def units(tmp_path):
    """The units, with the binary under test."""
    folder = tmp_path / "units"
    folder.mkdir()
    for name in ("sluice.service", "sluice.socket"):
        shutil.copy(CONTRIB / "systemd" / name, folder)
    service = folder / "sluice.service"
    text = service.read_text(encoding="utf-8")
    assert "ExecStart=/usr/local/bin/sluice " in text
    service.write_text(text.replace("/usr/local/bin/sluice ", f"{SLUICE} "), encoding="utf-8")
    return folder


def exposure(unit, **options):
    text = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit, **options)
    return float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)[1])


def test_units_are_understood(units):
    needs("systemd-analyze")
    told = run(
        "systemd-analyze", "verify", "--man=no", units / "sluice.service", units / "sluice.socket",
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"},
    )  # fmt: skip
    assert "sluice" not in told, told  # of other units it may say what it likes


def test_the_service_is_shut_in(units):
    needs("systemd-analyze")
    assert exposure(units / "sluice.service") <= 1.5
    with_ports = (units / "sluice.service").read_text(encoding="utf-8") + read("systemd/low-ports.conf")
    (units / "sluice.service").write_text(with_ports, encoding="utf-8")
    assert exposure(units / "sluice.service") <= 1.5


def keys_of(file, section):
    """A unit's section; of repeated keys the last."""
    part = read(file).split(f"[{section}]\n")[1].split("\n[")[0]
    return dict(line.split("=", 1) for line in part.splitlines() if line and line[0] not in "#")


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m|min)?", str(text)).groups()
    return int(number) * (60 if unit in ("m", "min") else 1)


def test_the_unit_fits_the_program():
    service = keys_of("systemd/sluice.service", "Service")
    assert service["Type"] == "notify"
    assert service["KillMode"] == "mixed"
    drain, close = 60, 5  # the defaults of timeouts.drain and timeouts.close
    assert seconds(service["TimeoutStopSec"]) >= drain + close + 10
    name = keys_of("systemd/sluice.socket", "Socket")["FileDescriptorName"]
    assert yaml.safe_load(read("systemd/sluice.yaml"))["listen"]["address"] == f"fd:{name}"
    assert f'u {service["User"]} ' in read("systemd/sluice.sysusers")


def test_a_socket_of_the_service_manager(tmp_path, certs, target, trust):
    """systemd hands the socket over under the name of sluice.socket, and sluice.yaml takes it."""
    needs("systemd-socket-activate")
    if UNDER_VALGRIND:
        pytest.skip("valgrind is not what systemd starts")
    name = keys_of("systemd/sluice.socket", "Socket")["FileDescriptorName"]
    text = read("systemd/sluice.yaml")
    for old, new in (
        ("server.crt", certs / "server.crt"), ("server.key", certs / "server.key"), ("/run/sluice/", f"{tmp_path}/"),
        ("/var/log/sluice/", f"{tmp_path}/"), ("tcp://127.0.0.1:5900", target().serve(echo).url),
    ):  # fmt: skip
        text = text.replace(old, str(new))
    (tmp_path / "sluice.yaml").write_text(text, encoding="utf-8")
    path = tmp_path / "https"
    with subprocess.Popen(
        ["systemd-socket-activate", f"--fdname={name}", "-l", path, SLUICE, "-c", tmp_path / "sluice.yaml"],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(DEADLINE)
            until(lambda: sock.connect_ex(str(path)) == 0, "the socket")  # it starts by this
            client = Client(trust.wrap_socket(sock, server_hostname="localhost")).upgrade("/vnc")
            client.send_binary(b"hello")
            assert client.take_payload(5) == b"hello"
            client.send_close(1000)
            client.take_closing()
            client.close()
        finally:
            process.send_signal(signal.SIGTERM)
            told = process.stderr.read()
        assert process.wait(DEADLINE) == 0, told


# ---- logrotate


def test_logrotate_turns_the_log(start, keep, target, tmp_path):
    """Really: with a systemctl of our own, which says USR1 to the process that it is asked to."""
    needs("logrotate")
    folder, log, bin_folder = tmp_path / "logs", tmp_path / "logs/sluice.log", tmp_path / "bin"
    folder.mkdir(mode=0o750)
    bin_folder.mkdir()
    gateway = start(
        f"""
        workers: 2
        listen: {{address: 127.0.0.1:0}}
        log: {{output: {log}}}
        routes: {{path: /x, target: "{target().url}"}}
        """,
        wait_ready=False,
    )

    def events(file, name):
        if not file.exists():
            return []
        found = [parse_line(line) for line in file.read_text(encoding="utf-8").splitlines()]
        assert None not in found
        return [one for one in found if one["event"] == name]

    def ask():
        client = keep(gateway.connect())
        assert client.ask(request("/nowhere")).status == 404
        client.close()

    gateway.addresses = until(lambda: events(log, "ready"), "ready")[0]["listen"].split(",")
    systemctl = bin_folder / "systemctl"
    systemctl.write_text(
        '#!/bin/sh\n[ "$*" = "kill --kill-whom=main --signal=USR1 sluice.service" ] && '
        f"kill -USR1 {gateway.pid}\n"
    )
    systemctl.chmod(0o755)
    who = f"{getpass.getuser()} {grp.getgrgid(os.getegid()).gr_name}"
    text = read("logrotate/sluice")
    for old, new in (
        ("/var/log/sluice/", f"{folder}/"), ("su sluice sluice", f"su {who}"), ("0640 sluice sluice", f"0640 {who}"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "conf").write_text(text, encoding="utf-8")
    (tmp_path / "conf").chmod(0o644)
    asked = 40
    for _ in range(asked):
        ask()
    old = folder / "sluice.log.1"
    until(lambda: len(events(log, "request_refused")) == asked, "the old lines")
    run("logrotate", "-f", "-s", tmp_path / "state", tmp_path / "conf",
        env={**os.environ, "PATH": f"{bin_folder}:{SBIN}"})  # fmt: skip
    until(lambda: events(log, "log_reopened"), "the new file")
    for _ in range(asked):
        ask()
    # A worker that had not heard of it yet may have written to the old file; no line is lost.
    until(
        lambda: len(events(old, "request_refused")) + len(events(log, "request_refused")) == 2 * asked, "every line"
    )
    assert events(old, "ready") and not events(log, "ready")
    assert len(events(log, "request_refused")) > 0
    assert log.stat().st_mode & 0o777 == 0o640


# ---- Kubernetes


@pytest.fixture(params=["replicas.yaml", "sidecar.yaml"])
def objects(request):
    found = {one["kind"]: one for one in yaml.safe_load_all(read(f"kubernetes/{request.param}"))}
    found["file"] = f"kubernetes/{request.param}"
    return found


def gateway_of(objects):
    containers = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    return next(one for one in containers if one["name"] == "sluice")


def test_manifests_select_their_own(objects):
    deployment = objects["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert objects["Service"]["spec"]["selector"] == labels
    assert objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    if "PodDisruptionBudget" in objects:
        assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
        assert objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] < deployment["replicas"]
    pod = deployment["template"]["spec"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert {one["name"] for one in gateway_of(objects)["volumeMounts"]} == set(volumes)
    assert volumes["config"]["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]


def test_manifests_name_the_ports_of_the_configuration(objects):
    rules = yaml.safe_load(configuration_of(objects["file"]))
    ports = {one["name"]: one["containerPort"] for one in gateway_of(objects)["ports"]}
    assert rules["listen"]["address"] == f":{ports['wss']}"
    assert rules["admin"]["address"] == f":{ports['admin']}"
    assert [one["targetPort"] for one in objects["Service"]["spec"]["ports"]] == ["wss"]
    for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        assert gateway_of(objects)[probe]["httpGet"] == {"path": path, "port": "admin"}


def test_manifests_give_a_drain_its_time(objects):
    rules = yaml.safe_load(configuration_of(objects["file"]))
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    waits = gateway_of(objects)["lifecycle"]["preStop"]["sleep"]["seconds"]
    close = 5
    needed = waits + seconds(rules["timeouts"]["drain"]) + close
    assert pod["terminationGracePeriodSeconds"] >= needed + 5
    for other in pod["containers"]:
        if other["name"] != "sluice":
            assert other["lifecycle"]["preStop"]["sleep"]["seconds"] >= needed


def test_manifests_take_every_right_away(objects):
    context = gateway_of(objects)["securityContext"]
    assert context["runAsNonRoot"] and context["readOnlyRootFilesystem"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["runAsUser"] == 65532


# ---- Docker


def stages(file):
    """The Dockerfile's stages: (base, name, [(instruction, rest)])."""
    text = re.sub(r"\\\n", " ", read(file))
    found = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        word, rest = line.split(" ", 1)
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append((base, name, []))
        else:
            found[-1][2].append((word, rest.strip()))
    return found


@pytest.mark.parametrize(
    "file, context", [("docker/Dockerfile", ROOT), ("docker/desktop.Dockerfile", CONTRIB / "docker")]
)
def test_images_copy_what_is_there(file, context):
    names = set()
    for _, name, steps in stages(file):
        for word, rest in steps:
            assert word in ("RUN", "COPY", "WORKDIR", "USER", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD")
            words = rest.split()
            if word == "COPY" and words[0].startswith("--from="):
                assert words[0].removeprefix("--from=") in names
            elif word == "COPY":
                for source in itertools.filterfalse(lambda one: one.startswith("--"), words[:-1]):
                    assert (context / source).exists(), source
        names.add(name)


def test_the_image_starts_from_nothing_and_is_not_root():
    by_name = {name: (base, dict(steps)) for base, name, steps in stages("docker/Dockerfile")}
    base, steps = by_name["sluice"]
    assert base == "scratch"
    assert steps["USER"] == "65532:65532"
    assert "RUN" not in steps
    assert by_name["novnc"][0] == "sluice"
    assert stages("docker/Dockerfile")[-1][0] == "sluice"  # what is built without a target


def test_the_image_has_all_that_the_build_needs(tmp_path):
    """With what the build stage copies, and no more, make knows how to make the gateway."""
    build = next(steps for _, name, steps in stages("docker/Dockerfile") if name == "build")
    for word, rest in build:
        if word == "COPY":
            source, to = rest.split()
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, tmp_path / to)
            else:
                (tmp_path / to).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, tmp_path / to)
    told = run("make", "--dry-run", "WERROR=1", "MODE=release", "OUT=build", cwd=tmp_path)
    assert "-o build/sluice " in told


def test_compose_names_what_is_there():
    services = yaml.safe_load(read("docker/compose.yaml"))["services"]
    for one in services.values():
        context = (CONTRIB / "docker" / one["build"]["context"]).resolve()
        file = context / one["build"]["dockerfile"]
        assert file.is_file()
        target = one["build"].get("target")
        assert not target or f" AS {target}\n" in file.read_text(encoding="utf-8")
    gateway = services["gateway"]
    assert gateway["read_only"] and gateway["cap_drop"] == ["ALL"]
    assert seconds(gateway["stop_grace_period"]) >= 60 + 5 + 5
    rules = yaml.safe_load(read("docker/novnc.yaml"))
    assert gateway["ports"] == [f"127.0.0.1:8080{rules['listen']['address']}"]
    assert rules["routes"][0]["target"].split("/")[2].split(":")[0] in services


def test_the_collected_image_runs(tmp_path):
    """As nobody, in a root that has nothing else."""
    if SANITIZED or UNDER_VALGRIND:
        pytest.skip("for the release build")
    if os.geteuid() != 0:
        pytest.skip("only root may change its root")
    image = tmp_path / "image"
    run(CONTRIB / "docker/collect", SLUICE, image)
    shutil.copy(ROOT / "config/minimal.yaml", image / "etc/sluice/sluice.yaml")
    inside = ["chroot", "--userspec=65532:65532", image, "/usr/local/bin/sluice"]
    environment = {"PATH": SBIN}
    assert run(*inside, "--version", env=environment).startswith("sluice ")
    assert "fine" in run(*inside, "check", env=environment)
    size = sum(file.stat().st_size for file in image.rglob("*") if file.is_file() and not file.is_symlink())
    assert size < 20 << 20
    names = {file.name for file in image.rglob("*") if os.access(file, os.X_OK) and file.is_file()}
    assert not names & {"sh", "bash", "busybox"}


def test_the_collected_image_serves(tmp_path):
    """As process 1, as in a container: it is healthy by the health check of compose.yaml, and TERM ends it."""
    if SANITIZED or UNDER_VALGRIND or os.geteuid() != 0:
        pytest.skip("for the release build, and for root")
    own = ["unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no process namespace")
    image = tmp_path / "image"
    run(CONTRIB / "docker/collect", SLUICE, image)
    text = read("docker/novnc.yaml").replace('":8080"', "127.0.0.1:0").replace("tcp://desktop:", "tcp://127.0.0.1:")
    (image / "etc/sluice/sluice.yaml").write_text(text, encoding="utf-8")
    (image / "usr/share/novnc").mkdir(parents=True)
    for folder in (tmp_path, *tmp_path.parents):  # pytest's are for us alone
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    inside = ["chroot", "--userspec=65532:65532", image, "/usr/local/bin/sluice"]
    test = yaml.safe_load(read("docker/compose.yaml"))["services"]["gateway"]["healthcheck"]["test"]
    assert test[:2] == ["CMD", "/usr/local/bin/sluice"]
    with subprocess.Popen(
        [*own, *inside], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={"PATH": SBIN}
    ) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if " ready " in line:
                break
        assert process.poll() is None, lines
        try:
            run(*inside, *test[2:], env={"PATH": SBIN})
        finally:
            (inner,) = children(process.pid, "sluice")
            os.kill(inner, signal.SIGTERM)
            lines += process.stderr.readlines()
        assert process.wait(DEADLINE) == 0, lines


# ---- Shell


@pytest.mark.parametrize("file", ["docker/collect", "docker/desktop"])
def test_scripts_are_shell(file):
    run("sh", "-n", CONTRIB / file)
    assert os.access(CONTRIB / file, os.X_OK)


# ---- HAProxy, nginx, logrotate: whether they take their files; what they do with them is seen elsewhere


@pytest.mark.parametrize("name", ["proxy-v2", "tls-passthrough"])
def test_haproxy_takes_its_file(name, tmp_path, certs):
    needs("haproxy")
    pem = tmp_path / "sluice.pem"
    pem.write_bytes((certs / "server.crt").read_bytes() + (certs / "server.key").read_bytes())
    file = tmp_path / "haproxy.cfg"
    file.write_text(read(f"haproxy/{name}.cfg").replace("/etc/haproxy/sluice.pem", str(pem)), encoding="utf-8")
    told = run("haproxy", "-c", "-f", file, env={**os.environ, "PATH": SBIN})
    assert "WARNING" not in told, told


def test_nginx_takes_its_file(tmp_path, certs):
    needs("nginx")
    text = read("nginx/sluice.conf").replace("/etc/nginx/sluice.crt", str(certs / "server.crt"))
    (tmp_path / "sluice.conf").write_text(text.replace("/etc/nginx/sluice.key", str(certs / "server.key")))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n"
        + "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in kinds)
        + f"include {tmp_path}/sluice.conf;\n}}\n"
    )
    # Its check opens the ports too: in a network of its own where that can be had.
    argv = ["nginx", "-t", "-q", "-p", tmp_path, "-e", "stderr", "-c", tmp_path / "nginx.conf"]
    environment = {**os.environ, "PATH": SBIN}
    own = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*own, "true"], capture_output=True, check=False, env=environment).returncode != 0:
        pytest.skip("no network namespace")
    assert run(*own, *argv, env=environment) == ""
