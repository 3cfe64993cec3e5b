// Round-trip time: a WebSocket of its own to the echo, one small message in flight at a time.

import { Plot, logScale } from "./plot.js";

const EVERY_MS = 200;
const WINDOW_MS = 60_000;
const RETRY_MS = 2000;
const PROBE_BYTES = 16;

const byId = (id) => document.getElementById(id);

// Browsers round their clock to 0.1 ms, so there is no second decimal to show.
function figure(ms) {
	return ms.toFixed(ms >= 100 ? 0 : 1);
}

// Of a sorted list: the value that `share` of all are at or below.
function quantile(sorted, share) {
	return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
}

export class Latency {
	constructor(base) {
		this.url = `${base}/echo`;
		this.plot = new Plot(byId("rtt-plot"), logScale(0.1, 10));
		this.about = byId("rtt-note").textContent;
		this.plot.show({ from: 0, to: 1, ends: ["a minute ago", "now"], lines: [], levels: [] });
		this.samples = []; // [when, ms], or [when, null] for a gap
		this.sequence = 0;
		this.socket = null;
		this.timer = 0;
		// In the background, browsers run timers late: what would be measured is the browser.
		document.addEventListener("visibilitychange", () => (document.hidden ? this.stop() : this.start()));
		this.start();
	}

	start() {
		if (this.socket || document.hidden) {
			return;
		}
		const socket = new WebSocket(this.url, "binary");
		socket.binaryType = "arraybuffer";
		this.socket = socket;
		socket.addEventListener("open", () => {
			byId("rtt-note").textContent = this.about;
			this.probe();
		});
		socket.addEventListener("message", (event) => this.receive(new Uint8Array(event.data)));
		socket.addEventListener("close", (event) => {
			if (this.socket !== socket) {
				return;
			}
			this.stop();
			byId("rtt-now").textContent = "–";
			byId("rtt-note").textContent = `No connection to the echo (${event.code}). Trying again every two seconds.`;
			this.timer = setTimeout(() => this.start(), RETRY_MS);
		});
	}

	stop() {
		clearTimeout(this.timer);
		const { socket } = this;
		this.socket = null;
		socket?.close(1000);
		if (this.samples.length > 0) {
			this.samples.push([performance.now(), null]);
		}
	}

	probe() {
		if (this.socket?.readyState !== WebSocket.OPEN) {
			return;
		}
		this.sequence++;
		const message = new DataView(new ArrayBuffer(PROBE_BYTES));
		message.setFloat64(8, this.sequence);
		this.pending = new Uint8Array(PROBE_BYTES);
		this.pendingLength = 0;
		this.sentAt = performance.now();
		this.socket.send(message);
	}

	// The echo is a stream: a message may come back in pieces.
	receive(bytes) {
		const now = performance.now();
		this.pending.set(bytes.subarray(0, PROBE_BYTES - this.pendingLength), this.pendingLength);
		this.pendingLength += bytes.length;
		if (this.pendingLength < PROBE_BYTES) {
			return;
		}
		if (new DataView(this.pending.buffer).getFloat64(8) === this.sequence) {
			this.samples.push([now, now - this.sentAt]);
		}
		while (this.samples.length > 0 && this.samples[0][0] < now - WINDOW_MS) {
			this.samples.shift();
		}
		this.show(now);
		this.timer = setTimeout(() => this.probe(), EVERY_MS);
	}

	show(now) {
		const sorted = this.samples.map(([, ms]) => ms).filter((ms) => ms !== null).sort((a, b) => a - b);
		if (sorted.length === 0) {
			return;
		}
		const median = quantile(sorted, 0.5);
		byId("rtt-now").textContent = figure(now - this.sentAt);
		byId("rtt-median").textContent = figure(median);
		byId("rtt-p99").textContent = figure(quantile(sorted, 0.99));
		this.plot.show({
			from: now - WINDOW_MS,
			to: now,
			ends: ["a minute ago", "now"],
			lines: [{ color: "--accent", points: this.samples }],
			levels: [{ color: "--soft", value: median }],
		});
	}
}
