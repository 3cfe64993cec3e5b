"""The workloads, and what is asked of each."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    key: str
    title: str
    kind: str  # the load generator's
    target: str  # echo, sink or source of the back end
    unit: str  # what the processor time is for: GB, M messages, M round trips, M sessions; or KiB, x
    connections: int = 1
    frame: int = 64
    idle: int = 0
    resume: bool = False
    schemes: tuple = ("ws", "wss")
    goals: dict = field(default_factory=dict)  # by scheme: at most this, as ratio to HAProxy, KiB or ratio to itself
    peers_not: tuple = ()

    def load_arguments(self):
        return [
            f"kind={self.kind}",
            f"connections={self.connections}",
            f"frame={self.frame}",
            f"idle={self.idle}",
            f"resume={int(self.resume)}",
            f"path=/{self.target}",
        ]


# One process of websockify a connection: thousands are not what it is for.
MANY = ("websockify",)
# What the idle cost the busy is each program's affair with itself; asked of these.
BESIDE_ITSELF = ("websockify", "floor", "nginx", "hitch")

ROWS = [
    Row("pingpong-64-1", "ping-pong 64 B, 1 connection", "pingpong", "echo", "M round trips"),
    Row("pingpong-64-64", "ping-pong 64 B, 64 connections", "pingpong", "echo", "M round trips",
        connections=64, goals={"ws": 0.95, "wss": 0.88}),
    Row("pingpong-16k-16", "ping-pong 16 KiB, 16 connections", "pingpong", "echo", "M round trips",
        connections=16, frame=16384, goals={"ws": 0.95}),
    Row("upload-1", "upload, 64 KiB frames, 1 connection", "upload", "sink", "GB",
        frame=65536, goals={"ws": 0.50, "wss": 0.72}),
    Row("upload-16", "upload, 64 KiB frames, 16 connections", "upload", "sink", "GB",
        connections=16, frame=65536, goals={"ws": 0.45, "wss": 0.80}),
    Row("download-1", "download, 64 KiB writes, 1 connection", "download", "source", "GB",
        frame=65536, goals={"ws": 0.38, "wss": 0.55}),
    Row("download-16", "download, 64 KiB writes, 16 connections", "download", "source", "GB",
        connections=16, frame=65536, goals={"ws": 0.42, "wss": 0.66}),
    Row("pipelined-128", "128 B frames pipelined, 1 connection", "upload", "sink", "M messages",
        frame=128, goals={"ws": 0.55, "wss": 0.80}),
    Row("echo-16k-4", "full-duplex echo, 16 KiB frames, 4 connections", "echo", "echo", "GB",
        connections=4, frame=16384, goals={"ws": 0.45}),
    Row("churn", "connect, upgrade, round trip, close", "churn", "echo", "M sessions",
        connections=16, goals={"ws": 1.10}, schemes=("ws",)),
    Row("churn-full", "connect, …, close; full TLS handshake", "churn", "echo", "M sessions",
        connections=16, goals={"wss": 0.92}, schemes=("wss",)),
    Row("churn-resumed", "connect, …, close; TLS resumed", "churn", "echo", "M sessions",
        connections=16, resume=True, goals={"wss": 0.88}, schemes=("wss",)),
    Row("idle-1000", "an idle session's memory, of 1,000", "idle", "echo", "KiB",
        connections=1000, goals={"wss": 14}, peers_not=MANY),
    Row("idle-9000", "an idle session's memory, of 9,000", "idle", "echo", "KiB",
        connections=9000, goals={"ws": 0.5}, peers_not=MANY),
    Row("busy-idle", "64 busy among 4,950 idle, beside itself without them", "pingpong", "echo", "x",
        connections=64, idle=4950, goals={"ws": 1.03, "wss": 1.03}, peers_not=BESIDE_ITSELF),
]


def figures(row, said):
    """What a run of the load generator says, as a cell of the table."""
    cell = {"resumed": said["resumed"], "handshakes": said["handshakes"], "windows": said["windows"]}
    cell["cipher"] = said["cipher"]
    if row.unit == "KiB":
        cell["cost"] = said["pss_each"] / 1024
        return cell
    first = said["windows"][0]
    if row.unit == "x":
        alone, among, again = (w["gateway_s"] / w["messages"] for w in said["windows"])
        cell["cost"] = among / ((alone + again) / 2)
        first = said["windows"][1]
    elif row.unit == "GB":
        cell["cost"] = first["gateway_s"] / (first["bytes"] / 1e9)
    else:
        cell["cost"] = first["gateway_s"] / (first["messages"] / 1e6)
    cell["rate"] = (first["bytes"] if row.unit == "GB" else first["messages"]) / first["seconds"]
    cell["busy"] = first["gateway_s"] / first["seconds"]
    cell["generator_busy"] = (first["generator_s"] + first["backend_s"]) / first["seconds"]
    cell["others"] = max(w["others_s"] / w["seconds"] for w in said["windows"])
    if row.kind in ("pingpong", "churn"):
        for name in ("p50_us", "p99_us", "p999_us"):
            cell[name] = first[name]
    return cell
