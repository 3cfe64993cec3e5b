// What went over the wire, as a hexdump: offset, bytes, text. Keeps the last MESSAGES_MAX messages and of each
// the first BYTES_MAX bytes, and touches the document once a frame at most, however fast messages come.

import { formatBytes } from "./format.js";

const MESSAGES_MAX = 100;
const BYTES_MAX = 256;
const WIDE_PX = 560;

// Three columns, each one text with a line for each row: a few nodes a message, and a column can be copied alone.
function dumpColumns(bytes, across) {
	const offsets = [];
	const hexes = [];
	const texts = [];
	for (let offset = 0; offset < bytes.length; offset += across) {
		const row = bytes.subarray(offset, offset + across);
		let hex = "";
		let text = "";
		row.forEach((byte, i) => {
			hex += (i === 0 ? "" : i % 8 === 0 ? "  " : " ") + byte.toString(16).padStart(2, "0");
			text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·";
		});
		offsets.push(offset.toString(16).padStart(4, "0"));
		// The first row is as wide as a full one, so that texts of messages stand below each other.
		hexes.push(offset === 0 ? hex.padEnd(3 * across - 1 + (across > 8 ? 1 : 0)) : hex);
		texts.push(text);
	}
	return [offsets, hexes, texts].map((lines) => {
		const column = document.createElement("pre");
		column.textContent = lines.join("\n");
		return column;
	});
}

export class Wire {
	constructor(element) {
		this.element = element;
		this.kept = [];
		this.fresh = [];
		this.across = 16;
		this.isDue = false;
		new ResizeObserver(() => this.fit()).observe(element);
	}

	// direction: "up" or "down"; kind: "binary" or "text".
	addMessage(direction, kind, bytes) {
		this.add({ direction, kind, length: bytes.length, bytes: bytes.slice(0, BYTES_MAX), at: new Date() });
	}

	addNote(note) {
		this.add({ note, at: new Date() });
	}

	add(entry) {
		this.kept.push(entry);
		this.fresh.push(entry);
		if (this.kept.length > MESSAGES_MAX) {
			this.kept.shift();
		}
		if (this.fresh.length > MESSAGES_MAX) {
			this.fresh.shift();
		}
		if (!this.isDue) {
			this.isDue = true;
			requestAnimationFrame(() => this.paint());
		}
	}

	clear() {
		this.kept = [];
		this.fresh = [];
		this.element.replaceChildren();
	}

	// Half as many bytes a row where there is no room for sixteen.
	fit() {
		const across = this.element.clientWidth >= WIDE_PX ? 16 : 8;
		if (across !== this.across) {
			this.across = across;
			this.element.replaceChildren(...this.kept.map((entry) => this.render(entry)));
			this.fresh = [];
			this.element.scrollTop = this.element.scrollHeight;
		}
	}

	paint() {
		this.isDue = false;
		const { element } = this;
		// Follow the end, unless the reader has scrolled up.
		const isFollowing = element.scrollHeight - element.scrollTop - element.clientHeight < 24;
		element.append(...this.fresh.map((entry) => this.render(entry)));
		this.fresh = [];
		while (element.childElementCount > MESSAGES_MAX) {
			element.firstElementChild.remove();
		}
		if (isFollowing) {
			element.scrollTop = element.scrollHeight;
		}
	}

	render(entry) {
		const element = document.createElement("div");
		element.className = "message";
		const about = document.createElement("div");
		about.className = "about";
		element.append(about);
		const time = entry.at.toTimeString().slice(0, 8);
		if (entry.note !== undefined) {
			about.append(`${entry.note}  ·  ${time}`);
			return element;
		}
		element.classList.add(`is-${entry.direction}`);
		const what = document.createElement("b");
		what.textContent = entry.direction === "up" ? "↑ sent" : "↓ came back";
		about.append(what, `  ${formatBytes(entry.length)}, ${entry.kind}  ·  ${time}`);
		if (entry.length === 0) {
			return element;
		}
		const dump = document.createElement("div");
		dump.className = "dump";
		dump.append(...dumpColumns(entry.bytes, this.across));
		element.append(dump);
		if (entry.length > entry.bytes.length) {
			const rest = document.createElement("div");
			rest.className = "about";
			rest.textContent = `and ${formatBytes(entry.length - entry.bytes.length)} more`;
			element.append(rest);
		}
		return element;
	}
}
