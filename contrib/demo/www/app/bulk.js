// The throughput panel: starts the worker, shows what it reports.

import { formatBytes, formatNumber } from "./format.js";
import { Plot, linearScale } from "./plot.js";

const MIB = 1024 * 1024;
const TOTAL_BYTES = 64 * MIB;
const SMOOTH_MS = 200;
const SHORTEST_MS = 1000;

const byId = (id) => document.getElementById(id);

// MiB/s between two of [t, bytes].
function rate([t0, bytes0], [t1, bytes1]) {
	return t1 > t0 ? ((bytes1 - bytes0) / MIB / (t1 - t0)) * 1000 : 0;
}

// The last SMOOTH_MS before each point, as a line of rates from the start of the run.
function rateLine(points, start) {
	const line = [];
	let from = 0;
	for (let i = 1; i < points.length; i++) {
		while (points[i][0] - points[from + 1][0] >= SMOOTH_MS && from + 1 < i) {
			from++;
		}
		line.push([points[i][0] - start, rate(points[from], points[i])]);
	}
	return line;
}

export class Bulk {
	constructor(base) {
		this.base = base;
		this.plot = new Plot(byId("bulk-plot"), linearScale(10));
		this.showPlot(0, []);
		this.worker = null;
		byId("bulk-run").addEventListener("click", () => {
			if (this.worker) {
				this.worker.terminate();
				this.over();
				this.tell("Stopped.", "");
			} else {
				this.run(byId("bulk-kind").value);
			}
		});
	}

	run(kind) {
		this.kind = kind;
		this.up = [];
		this.down = [];
		this.worker = new Worker(new URL("bulk-worker.js", import.meta.url));
		this.worker.onmessage = ({ data }) => this.receive(data);
		this.worker.onerror = () => {
			this.over();
			this.tell("The browser could not run the worker of this test.", "is-bad");
		};
		this.worker.postMessage({ url: `${this.base}/${kind}`, kind, total: TOTAL_BYTES });
		byId("bulk-run").textContent = "Stop";
		byId("bulk-kind").disabled = true;
		byId("bulk-progress").value = 0;
		byId("bulk-up").textContent = "–";
		byId("bulk-down").textContent = "–";
		this.tell("Connecting.", "");
	}

	// The worker ends by itself once its Close is answered.
	over() {
		this.worker.onmessage = null;
		this.worker = null;
		byId("bulk-run").textContent = "Run 64 MiB";
		byId("bulk-kind").disabled = false;
	}

	receive(report) {
		const { type, now, sent, came, startedAt } = report;
		if (startedAt.up > 0) {
			this.up.push([now, sent]);
			this.down.push([now, came]);
			this.showProgress(report);
		}
		switch (type) {
		case "progress":
			this.tell(this.kind === "sink" ? `${formatBytes(sent)} sent.` : `${formatBytes(came)} checked.`, "", "quietly");
			return;
		case "done":
			this.showTotals(report);
			break;
		case "wrong":
			this.tell(`Byte ${report.place.toLocaleString("en")} came back as ${report.seen}, not ${report.wanted}.`, "is-bad");
			break;
		case "failed":
			this.tell(`Not finished: ${report.reason}.`, "is-bad");
			break;
		}
		this.over();
	}

	showProgress({ now, sent, came, startedAt }) {
		const start = startedAt.up;
		const up = rateLine(this.up, start);
		const down = rateLine(this.down, start);
		const lines = [];
		if (this.kind !== "source") {
			lines.push({ color: "--up", points: up });
			byId("bulk-up").textContent = up.length > 0 ? formatNumber(up.at(-1)[1]) : "–";
		}
		if (this.kind !== "sink") {
			lines.push({ color: "--down", points: down });
			byId("bulk-down").textContent = down.length > 0 ? formatNumber(down.at(-1)[1]) : "–";
		}
		this.showPlot(now - start, lines);
		byId("bulk-progress").value = (this.kind === "sink" ? sent : came) / TOTAL_BYTES;
	}

	showPlot(tookMs, lines) {
		const to = Math.max(SHORTEST_MS, tookMs);
		this.plot.show({ from: 0, to, ends: ["0", `${(to / 1000).toFixed(1)} s`], lines, levels: [] });
	}

	// At the end the figures are those of the whole run.
	showTotals({ startedAt, endedAt }) {
		const whole = (direction) => rate([startedAt[direction], 0], [endedAt[direction], TOTAL_BYTES]);
		const amount = formatBytes(TOTAL_BYTES);
		if (this.kind !== "source") {
			byId("bulk-up").textContent = formatNumber(whole("up"));
		}
		if (this.kind !== "sink") {
			byId("bulk-down").textContent = formatNumber(whole("down"));
		}
		const said = {
			echo: `${amount} went up and came back, and every byte was right. The figures are for the whole run.`,
			source: `${amount} came, and every byte was right. The figure is for the whole run.`,
			sink: `${amount} were given to the network. The figure is for the whole run.`,
		};
		this.tell(said[this.kind], this.kind === "sink" ? "" : "is-good");
	}

	// `quietly`: not worth a word to a screen reader.
	tell(words, manner, quietly) {
		const note = byId("bulk-note");
		note.setAttribute("aria-live", quietly ? "off" : "polite");
		note.className = `note ${manner}`;
		note.textContent = words;
	}
}
