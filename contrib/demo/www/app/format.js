// Bytes, numbers and durations as people read them.

const KIB = 1024;
const MIB = KIB * 1024;
const GIB = MIB * 1024;

export function formatBytes(count) {
	if (count < 10 * KIB) {
		return `${count.toLocaleString("en")} B`;
	}
	for (const [size, unit] of [[GIB, "GiB"], [MIB, "MiB"], [KIB, "KiB"]]) {
		if (count >= size) {
			return `${formatNumber(count / size)} ${unit}`;
		}
	}
}

// Three figures at most, but never fewer than the whole part has.
export function formatNumber(value) {
	if (value >= 100) {
		return Math.round(value).toLocaleString("en");
	}
	return value.toFixed(value >= 10 ? 1 : 2);
}

export function formatMs(ms) {
	return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(ms >= 100 ? 0 : 1)} ms`;
}

// "48 65 6c" or "48656c" or "0x48,0x65": the bytes, or a phrase that says what is wrong.
export function parseHex(text) {
	const digits = text.replace(/0x/gi, "").replace(/[\s,:]+/g, "");
	const wrong = digits.match(/[^0-9a-f]/i);
	if (wrong) {
		return { fault: `"${wrong[0]}" is not a hex digit. Write bytes as in: 48 65 6c 6c 6f` };
	}
	if (digits.length % 2 !== 0) {
		return { fault: "A byte has two hex digits, and here is an odd one. Write 0a for a newline." };
	}
	const bytes = new Uint8Array(digits.length / 2);
	for (let i = 0; i < bytes.length; i++) {
		bytes[i] = parseInt(digits.slice(2 * i, 2 * i + 2), 16);
	}
	return { bytes };
}
