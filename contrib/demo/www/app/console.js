// The connection panel: one WebSocket under the visitor's hand.

import { formatBytes, parseHex } from "./format.js";
import { Wire } from "./wire.js";

// A browser cannot tell a WebSocket to wait, so a target that never stops talking is hung up on.
const UNASKED_BYTES_MAX = 64 * 1024 * 1024;
const PATHS = ["/echo", "/fin", "/reset", "/refused", "/idle", "/brief", "/small", "/strict", "/nowhere", "/source", "/sink"];

const byId = (id) => document.getElementById(id);
const encoder = new TextEncoder();

export class Console {
	constructor(base) {
		this.wire = new Wire(byId("wire"));
		this.socket = null;
		this.sentBytes = 0;
		this.cameBytes = 0;
		this.countsAreDue = false;

		byId("url").value = `${base}/echo`;
		byId("urls").append(...PATHS.map((path) => new Option(`${base}${path}`)));
		byId("connect").addEventListener("submit", (event) => {
			event.preventDefault();
			if (this.socket) {
				this.socket.close(1000, "closed on the page");
			} else {
				this.open();
			}
		});
		byId("send").addEventListener("submit", (event) => {
			event.preventDefault();
			this.sendTyped();
		});
		byId("payload").addEventListener("input", () => this.tellFault(""));
		byId("clear").addEventListener("click", () => this.wire.clear());
		for (const radio of document.querySelectorAll("input[name=form]")) {
			radio.addEventListener("change", () => {
				byId("payload").placeholder = radio.value === "hex" ? "48 65 6c 6c 6f" : "Type, press Enter";
				this.tellFault("");
			});
		}
		this.showState("closed", "closed");
	}

	// `first`: text to send as soon as it is open.
	open(first) {
		const url = byId("url").value.trim();
		const protocols = byId("protocols").value.split(/[\s,]+/).filter(Boolean);
		let socket;
		try {
			socket = new WebSocket(url, protocols);
		} catch (error) {
			this.wire.addNote(`The browser takes no such URL or subprotocol: ${error.message}`);
			return;
		}
		socket.binaryType = "arraybuffer";
		this.socket = socket;
		this.sentBytes = 0;
		this.cameBytes = 0;
		this.showCounts();
		byId("taken").textContent = "–";
		byId("leg-scheme").textContent = url.startsWith("wss") ? "wss" : "ws";
		this.showState("connecting", "connecting");

		socket.addEventListener("open", () => {
			this.showState("open", "open");
			byId("taken").textContent = socket.protocol || "none";
			this.wire.addNote(`Open: ${socket.url}`);
			if (first) {
				this.send(encoder.encode(first));
			}
		});
		socket.addEventListener("message", (event) => this.receive(event.data));
		socket.addEventListener("close", (event) => this.ended(event));
	}

	ended({ code, reason, wasClean }) {
		const wasOpen = byId("state").dataset.state === "open";
		this.socket = null;
		this.showState("ended", `closed, ${code}`);
		const why = reason ? `: ${reason}` : "";
		const hint = wasOpen || wasClean ? "" : ". It was refused before the 101; the browser does not say with which status";
		this.wire.addNote(`Closed with ${code}${why}${hint}`);
	}

	receive(data) {
		const isText = typeof data === "string";
		const bytes = isText ? encoder.encode(data) : new Uint8Array(data);
		this.cameBytes += bytes.length;
		this.wire.addMessage("down", isText ? "text" : "binary", bytes);
		this.showCounts();
		if (this.cameBytes - this.sentBytes > UNASKED_BYTES_MAX && this.socket.readyState === WebSocket.OPEN) {
			this.wire.addNote(`${formatBytes(UNASKED_BYTES_MAX)} came unasked: the page hangs up`);
			this.socket.close(1000, "seen enough");
		}
	}

	send(bytes) {
		this.socket.send(bytes);
		this.sentBytes += bytes.length;
		this.wire.addMessage("up", "binary", bytes);
		this.showCounts();
	}

	sendTyped() {
		const field = byId("payload");
		const isHex = document.querySelector("input[name=form]:checked").value === "hex";
		const { bytes, fault } = isHex ? parseHex(field.value) : { bytes: encoder.encode(field.value) };
		this.tellFault(fault ?? "");
		if (fault || !this.socket || this.socket.readyState !== WebSocket.OPEN) {
			return;
		}
		this.send(bytes);
		field.value = "";
		field.focus();
	}

	tellFault(fault) {
		byId("send-fault").textContent = fault;
		byId("payload").setAttribute("aria-invalid", fault ? "true" : "false");
	}

	showState(state, words) {
		byId("state").dataset.state = state;
		byId("state").textContent = words;
		byId("way").dataset.state = state;
		byId("send-button").disabled = state !== "open";
		byId("toggle").textContent = state === "open" || state === "connecting" ? "Close" : "Connect";
	}

	// Once a frame: messages can come far faster.
	showCounts() {
		if (this.countsAreDue) {
			return;
		}
		this.countsAreDue = true;
		requestAnimationFrame(() => {
			this.countsAreDue = false;
			byId("sent").textContent = formatBytes(this.sentBytes);
			byId("came").textContent = formatBytes(this.cameBytes);
		});
	}
}
