// A small line plot on a canvas: time along, and a scale that fits what it shows.

const MARGIN = { top: 8, right: 2, bottom: 20, left: 40 };

// Scales: given the values shown, where each value stands (0 at the bottom, 1 at the top), and the grid's values.

// From zero, in steps of 1, 2 or 5 times a power of ten; `least` keeps noise near zero from filling the plot.
export function linearScale(least) {
	return (values) => {
		const most = values.reduce((a, b) => Math.max(a, b), least) * 1.02;
		const power = 10 ** Math.floor(Math.log10(most / 3));
		const step = [1, 2, 5, 10].find((factor) => factor * power >= most / 3) * power;
		const count = Math.ceil(most / step);
		return {
			place: (value) => value / (count * step),
			grid: Array.from({ length: count + 1 }, (_, i) => i * step),
		};
	};
}

// Whole powers of ten from `least` to at least `most`: a rare slow one does not flatten all the rest.
export function logScale(least, most) {
	return (values) => {
		const low = Math.log10(least);
		const high = Math.ceil(Math.log10(values.reduce((a, b) => Math.max(a, b), most)));
		return {
			place: (value) => (Math.log10(Math.max(value, least)) - low) / (high - low),
			grid: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)),
		};
	};
}

export class Plot {
	constructor(canvas, scale) {
		this.canvas = canvas;
		this.scale = scale;
		this.model = { from: 0, to: 1, ends: ["", ""], lines: [], levels: [] };
		new ResizeObserver(() => this.paint()).observe(canvas);
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
	}

	// from, to: the times at the two ends, and ends: what to write there. lines: [{color: "--up", points: [[t, value],
	// ...]}], a null for a gap. levels: [{color, value}], dashed, all across.
	show(model) {
		this.model = model;
		this.paint();
	}

	paint() {
		const { canvas, model } = this;
		const { clientWidth: width, clientHeight: height } = canvas;
		const ratio = devicePixelRatio;
		if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
			canvas.width = Math.round(width * ratio);
			canvas.height = Math.round(height * ratio);
		}
		const style = getComputedStyle(canvas);
		const pen = canvas.getContext("2d");
		pen.setTransform(ratio, 0, 0, ratio, 0, 0);
		pen.clearRect(0, 0, width, height);
		pen.font = `11px ${style.getPropertyValue("--sans")}`;

		const values = model.lines.flatMap(({ points }) => points.map(([, value]) => value ?? 0));
		const { place, grid } = this.scale(values);
		const span = width - MARGIN.left - MARGIN.right;
		const x = (t) => MARGIN.left + ((t - model.from) / (model.to - model.from)) * span;
		const y = (value) => height - MARGIN.bottom - place(value) * (height - MARGIN.top - MARGIN.bottom);
		const color = (name) => style.getPropertyValue(name);

		this.paintGrid(pen, color, width, y, grid);
		this.paintEnds(pen, color, width, height);
		for (const level of model.levels) {
			pen.setLineDash([3, 3]);
			this.paintAcross(pen, color(level.color), width, y(level.value));
			pen.setLineDash([]);
		}
		for (const line of model.lines) {
			this.paintLine(pen, color(line.color), line.points, x, y);
		}
	}

	paintGrid(pen, color, width, y, grid) {
		pen.textAlign = "right";
		pen.textBaseline = "middle";
		for (const value of grid) {
			const at = Math.round(y(value)) + 0.5;
			this.paintAcross(pen, color("--line"), width, at);
			// The zero needs no label: it is the floor.
			if (value > 0) {
				pen.fillStyle = color("--soft");
				pen.fillText(`${Number(value.toPrecision(3))}`, MARGIN.left - 6, at);
			}
		}
	}

	paintEnds(pen, color, width, height) {
		pen.fillStyle = color("--soft");
		pen.textBaseline = "alphabetic";
		pen.textAlign = "left";
		pen.fillText(this.model.ends[0], MARGIN.left, height - 4);
		pen.textAlign = "right";
		pen.fillText(this.model.ends[1], width - MARGIN.right, height - 4);
	}

	paintAcross(pen, color, width, at) {
		pen.strokeStyle = color;
		pen.lineWidth = 1;
		pen.beginPath();
		pen.moveTo(MARGIN.left, at);
		pen.lineTo(width - MARGIN.right, at);
		pen.stroke();
	}

	paintLine(pen, color, points, x, y) {
		pen.strokeStyle = color;
		pen.lineWidth = 1.5;
		pen.lineJoin = "round";
		pen.beginPath();
		let isDown = false;
		for (const [t, value] of points) {
			if (value === null) {
				isDown = false;
			} else if (isDown) {
				pen.lineTo(x(t), y(value));
			} else {
				pen.moveTo(x(t), y(value));
				isDown = true;
			}
		}
		pen.stroke();
	}
}
