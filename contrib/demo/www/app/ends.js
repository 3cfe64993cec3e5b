// The table of ends: each row opens a WebSocket of its own, brings one end about and tells how the browser saw it.

import { formatBytes, formatMs } from "./format.js";

const PATIENCE_MS = 15_000;

const byId = (id) => document.getElementById(id);

// The same port under the other name of this machine: another origin.
const OTHER_NAMES = { "127.0.0.1": "localhost", localhost: "127.0.0.1" };

// Of each row: `path` (and perhaps `protocols`), what to do once it is `opened`, the code that should come, its
// cause in the log, a word that tells its reason from others with that code, and what it means. A refused one has
// the `status` instead, and where a plain GET of the same path gets the same status, `get` says to ask for it.
const GROUPS = [
	{
		title: "The client ends it",
		rows: [
			{
				label: "Close with 1000",
				path: "/echo",
				opened: (socket) => socket.close(1000, "that was all"),
				code: 1000,
				cause: "client_close",
				meaning: "The client's own code comes back, alone. The target gets all that was sent, then FIN.",
			},
			{
				label: "Close with 4000",
				path: "/echo",
				opened: (socket) => socket.close(4000, "a code of the application"),
				code: 4000,
				cause: "client_close",
				meaning: "Codes from 4000 to 4999 belong to applications. They come back unchanged too.",
			},
			{
				label: "Close with a code of your own",
				own: true,
				path: "/echo",
				cause: "client_close",
				meaning: "Browsers let a page send 1000 and 3000 to 4999.",
			},
		],
	},
	{
		title: "The target ends it",
		rows: [
			{
				label: "Target sends FIN",
				path: "/fin",
				code: 1000,
				cause: "target_eof",
				word: "ended",
				meaning: "An orderly end, after the target's last byte.",
			},
			{
				label: "Target resets",
				path: "/reset",
				code: 1014,
				cause: "target_reset",
				word: "reset",
				meaning: "RST from the target: 1014 is a bad gateway, as 502 is in HTTP.",
			},
			{
				label: "Target refuses the connection",
				path: "/refused",
				code: 1014,
				cause: "target_refused",
				word: "refused",
				meaning:
					"Nothing listens there. The gateway answers 101 first, so that the browser learns why; " +
					"`on_unreachable: http` would answer 502 instead.",
			},
		],
	},
	{
		title: "The gateway ends it",
		rows: [
			{
				label: "Nothing moves for 3 seconds",
				path: "/idle",
				code: 1001,
				cause: "idle",
				word: "idle",
				meaning: "`timeouts.idle` of that route. Payload counts, pings do not.",
			},
			{
				label: "The session is 3 seconds old",
				path: "/brief",
				code: 1008,
				cause: "session_limit",
				word: "longest time",
				meaning: "`timeouts.session` of that route, whatever moves.",
			},
			{
				label: "A text message on a binary route",
				path: "/echo",
				opened: (socket) => socket.send("text"),
				code: 1003,
				cause: "bad_message_type",
				word: "text",
				meaning: "`messages: text` or `any` would take it.",
			},
			{
				label: "A message over the limit",
				path: "/small",
				opened: (socket) => socket.send(new Uint8Array(4096)),
				code: 1009,
				cause: "message_too_big",
				word: "limit",
				meaning: "`limits.message` is 1 KiB there, and this one has 4.",
			},
		],
	},
	{
		title: "Refused before the 101",
		about: "No session, so no cause. 1006 is the browser's own: it hides the status of a refused upgrade.",
		rows: [
			{
				label: "A path without a route",
				path: "/nowhere",
				status: 404,
				get: true,
			},
			{
				label: "The wrong subprotocol",
				path: "/strict",
				protocols: ["something-else"],
				status: 400,
				meaning: "The route wants the subprotocol `only-this`; `something-else` was offered.",
			},
			{
				label: "Another origin",
				path: "/echo",
				elsewhere: true,
				status: 403,
				meaning: "A page may connect to the host that it came from. A route's `origin` can let others in.",
			},
		],
	},
];

// Opens one and waits for its end: how it went, and what came before.
function watch(url, protocols, opened) {
	return new Promise((resolve) => {
		const startedAt = performance.now();
		const socket = new WebSocket(url, protocols);
		let wasOpen = false;
		let cameBytes = 0;
		const patience = setTimeout(() => finish({ isLate: true }), PATIENCE_MS);
		function finish(more) {
			clearTimeout(patience);
			resolve({ wasOpen, cameBytes, tookMs: performance.now() - startedAt, ...more });
			socket.close();
		}
		socket.binaryType = "arraybuffer";
		socket.onopen = () => {
			wasOpen = true;
			opened?.(socket);
		};
		socket.onmessage = ({ data }) => {
			cameBytes += data.byteLength ?? data.length;
		};
		socket.onclose = ({ code, reason, wasClean }) => finish({ code, reason, wasClean });
	});
}

// What an ordinary GET of that path gets: [status, first line of the body].
async function plainGet(path) {
	try {
		const response = await fetch(path, { cache: "no-store" });
		return [response.status, (await response.text()).split("\n")[0].slice(0, 200)];
	} catch {
		return null;
	}
}

function cell(className, label) {
	const element = document.createElement("td");
	element.className = className;
	element.dataset.label = label;
	return element;
}

// Words with `names` in them.
function prose(text) {
	return text.split("`").map((part, i) => {
		if (i % 2 === 0) {
			return part;
		}
		const element = document.createElement("code");
		element.textContent = part;
		return element;
	});
}

function verdict(isGood, words) {
	const element = document.createElement("span");
	element.className = isGood ? "mark-good" : "mark-bad";
	element.textContent = isGood ? " ✓" : " ✗";
	element.title = words;
	element.setAttribute("role", "img");
	element.setAttribute("aria-label", words);
	return element;
}

class Row {
	constructor(base, rule) {
		this.rule = rule;
		this.url = base + rule.path;
		this.isRunning = false;
		this.element = document.createElement("tr");
		const head = document.createElement("th");
		head.scope = "row";
		this.button = document.createElement("button");
		this.button.type = "button";
		this.button.textContent = rule.label;
		this.button.addEventListener("click", () => this.run());
		head.append(this.button);
		if (rule.own) {
			head.append(this.ownFields());
		}
		this.http = cell("http", "HTTP");
		this.code = cell("code", "Code");
		this.reason = cell("reason", "Reason");
		this.clean = cell("clean", "Clean");
		this.meaning = cell("meaning", "");
		this.element.append(head, this.http, this.code, this.reason, this.clean, this.meaning);

		if (rule.elsewhere) {
			const other = OTHER_NAMES[location.hostname];
			if (other) {
				this.url = this.url.replace(location.hostname, other);
			} else {
				this.button.disabled = true;
				this.meaning.textContent = "Open the page as localhost or as 127.0.0.1 to try this one.";
			}
		}
	}

	ownFields() {
		const fields = document.createElement("div");
		fields.className = "own";
		this.ownCode = document.createElement("input");
		Object.assign(this.ownCode, { type: "number", min: 1000, max: 4999, value: 4321 });
		this.ownCode.setAttribute("aria-label", "Code");
		this.ownReason = document.createElement("input");
		Object.assign(this.ownReason, { type: "text", value: "see you", spellcheck: false });
		this.ownReason.setAttribute("aria-label", "Reason");
		for (const input of [this.ownCode, this.ownReason]) {
			input.addEventListener("keydown", (event) => event.key === "Enter" && this.run());
		}
		fields.append(this.ownCode, this.ownReason);
		return fields;
	}

	// True when it ended as it should.
	async run() {
		if (this.isRunning || this.button.disabled) {
			return true;
		}
		let { opened, code: wanted } = this.rule;
		if (this.rule.own) {
			wanted = Number(this.ownCode.value);
			const reason = this.ownReason.value;
			if (wanted !== 1000 && !(Number.isInteger(wanted) && wanted >= 3000 && wanted <= 4999)) {
				this.showFault("A page may send 1000 and 3000 to 4999; the browser refuses every other code.");
				return false;
			}
			if (new TextEncoder().encode(reason).length > 123) {
				this.showFault("A reason has at most 123 bytes.");
				return false;
			}
			opened = (socket) => socket.close(wanted, reason);
		}
		this.isRunning = true;
		this.element.classList.add("is-running");
		this.clear();
		this.code.textContent = "…";
		const seen = await watch(this.url, this.rule.protocols ?? [], opened);
		const got = this.rule.get ? await plainGet(this.rule.path) : null;
		this.isRunning = false;
		this.element.classList.remove("is-running");
		this.clear();
		return seen.isLate ? this.showLate() : this.show(seen, wanted, got);
	}

	clear() {
		for (const element of [this.http, this.code, this.reason, this.clean, this.meaning]) {
			element.replaceChildren();
		}
	}

	showFault(words) {
		this.clear();
		this.meaning.textContent = words;
	}

	showLate() {
		this.code.append("none", verdict(false, "no end came"));
		this.meaning.textContent = `It had not ended after ${PATIENCE_MS / 1000} seconds.`;
		return false;
	}

	show(seen, wanted, got) {
		const { status, word = "" } = this.rule;
		const isRefusal = status !== undefined;
		const isAsDocumented = isRefusal
			? !seen.wasOpen && seen.code === 1006 && (got === null || got[0] === status)
			: seen.wasOpen && seen.code === wanted && seen.reason.includes(word);
		const should = isRefusal ? `should be status ${status}, 1006` : `should be ${wanted} and say "${word}"`;
		this.code.append(`${seen.code}`, verdict(isAsDocumented, isAsDocumented ? "as documented" : should));
		this.reason.textContent = seen.reason || "–";
		this.clean.textContent = seen.wasClean ? "yes" : "no";
		if (seen.wasOpen) {
			this.http.textContent = "101";
			this.showEnd(seen, isAsDocumented ? "" : should);
		} else {
			this.http.textContent = isRefusal ? `${got ? got[0] : status}` : "not 101";
			this.showRefusal(got);
		}
		return isAsDocumented;
	}

	showEnd({ cameBytes, tookMs }, should) {
		const before = cameBytes > 0 ? `, after ${formatBytes(cameBytes)} from the target` : "";
		const cause = should ? `${should}; ended` : `\`${this.rule.cause}\``;
		this.showMeaning(`${cause} in ${formatMs(tookMs)}${before}`, this.rule.meaning ?? "");
	}

	showRefusal(got) {
		this.showMeaning(got ? `A plain GET there says: ${got[1].replaceAll("`", "'") || got[0]}` : "", this.rule.meaning ?? "");
	}

	showMeaning(first, then) {
		const line = document.createElement("span");
		line.className = "got";
		line.append(...prose(first));
		this.meaning.replaceChildren(...(first ? [line] : []), ...prose(then));
	}
}

export class Ends {
	constructor(base) {
		const table = document.querySelector("#ends table");
		this.rows = [];
		for (const group of GROUPS) {
			const body = document.createElement("tbody");
			const heading = document.createElement("tr");
			heading.className = "group";
			const title = document.createElement("th");
			title.colSpan = 6;
			title.scope = "rowgroup";
			title.textContent = group.title;
			if (group.about) {
				const about = document.createElement("span");
				about.textContent = group.about;
				title.append(" ", about);
			}
			heading.append(title);
			body.append(heading);
			for (const rule of group.rows) {
				const row = new Row(base, rule);
				this.rows.push(row);
				body.append(row.element);
			}
			table.append(body);
		}
		byId("ends-all").addEventListener("click", () => this.runAll());
	}

	async runAll() {
		const button = byId("ends-all");
		button.disabled = true;
		byId("ends-status").textContent = "Running all of them.";
		const results = await Promise.all(this.rows.map((row) => row.run()));
		const good = results.filter(Boolean).length;
		byId("ends-status").textContent = `${good} of ${results.length} ended as documented.`;
		button.disabled = false;
	}
}
