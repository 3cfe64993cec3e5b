// The bulk run itself, in a worker so that the page stays alive beside it.
//
// Byte n of either direction follows from n, so a byte that is lost, doubled, moved or changed shows. `source`
// has a pattern of its own, because its target does.

const CHUNK_BYTES = 64 * 1024;
// Enough waiting in the browser to keep the socket busy between two looks at it, and no more.
const WAITING_BYTES_MAX = 4 * 1024 * 1024;
const LOOK_MS = 2;
const REPORT_MS = 50;
const SOURCE_PERIOD = 251;

const echoByte = (n) => Math.imul(n, 0x9e3779b1) >>> 24;
const sourceByte = (n) => n % SOURCE_PERIOD;

onmessage = ({ data: { url, kind, total } }) => {
	const socket = new WebSocket(url, "binary");
	socket.binaryType = "arraybuffer";
	const sends = kind !== "source";
	const receives = kind !== "sink";
	const expected = kind === "source" ? sourceByte : echoByte;
	const startedAt = { up: 0, down: 0 };
	const endedAt = { up: 0, down: 0 };
	let given = 0;
	let came = 0;
	let isOver = false;
	let reporting = 0;

	function sent() {
		return given - socket.bufferedAmount;
	}

	function report(type, more) {
		postMessage({ type, now: performance.now(), sent: sent(), came, startedAt, endedAt, ...more });
	}

	function end(type, more) {
		if (!isOver) {
			isOver = true;
			clearInterval(reporting);
			report(type, more);
			socket.close(1000);
		}
	}

	function fill() {
		while (given < total && socket.bufferedAmount < WAITING_BYTES_MAX) {
			const chunk = new Uint8Array(Math.min(CHUNK_BYTES, total - given));
			for (let i = 0; i < chunk.length; i++) {
				chunk[i] = echoByte(given + i);
			}
			socket.send(chunk);
			given += chunk.length;
		}
		if (sent() === total) {
			endedAt.up = performance.now();
			if (!receives) {
				end("done");
			}
			return;
		}
		if (!isOver) {
			setTimeout(fill, LOOK_MS);
		}
	}

	function check(bytes) {
		const length = Math.min(bytes.length, total - came);
		for (let i = 0; i < length; i++) {
			if (bytes[i] !== expected(came + i)) {
				end("wrong", { place: came + i, seen: bytes[i], wanted: expected(came + i) });
				return;
			}
		}
		came += length;
		if (length < bytes.length && kind !== "source") {
			end("failed", { reason: `${bytes.length - length} bytes more came than were sent` });
		} else if (came === total) {
			endedAt.down = performance.now();
			end("done");
		}
	}

	socket.onopen = () => {
		startedAt.up = performance.now();
		startedAt.down = startedAt.up;
		reporting = setInterval(() => report("progress"), REPORT_MS);
		if (sends) {
			fill();
		}
	};
	socket.onmessage = (event) => {
		if (!isOver) {
			check(new Uint8Array(event.data));
		}
	};
	socket.onclose = (event) => {
		end("failed", { reason: `the session ended with ${event.code}${event.reason ? `: ${event.reason}` : ""}` });
		close();
	};
};
