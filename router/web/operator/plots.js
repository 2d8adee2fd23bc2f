// Lines over the last hour, as SVG. A pointer or the arrow keys read single points.

import { clock, make, makeSvg, setText } from "./dom.js";

const HOUR_S = 3600;
const HEIGHT = 132;
const TOP = 10;
const BOTTOM = 20;
const LEFT = 44;
const RIGHT = 8;

/** Return a round number of at least `value`: 1, 2 or 5 times a power of ten. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((bound) => bound >= value * 0.9999);
}

/**
 * A plot of one or two lines.
 *
 * `lines` are `{name, of}`, where `of` returns the value at a point, or null. `write` writes a value, and `headline`
 * returns the figure that stands above the plot. The axis ends at `least` or above.
 */
export class Plot {
  constructor({ title, lines, write, headline, least = 0 }) {
    this.lines = lines;
    this.write = write;
    this.headline = headline;
    this.least = least;
    this.points = [];
    this.now = 0;
    this.chosen = null;
    this.figure = make("strong");
    this.readout = make("span", { class: "readout" });
    const legend = lines.length < 2 ? [] : lines.map(({ name }, at) => make("span", { class: `key line-${at}`, text: name }));
    this.svg = makeSvg("svg", { role: "img", tabindex: "0", height: String(HEIGHT) });
    this.title = title;
    this.element = make(
      "figure",
      {},
      make("figcaption", {}, make("span", { class: "name", text: title }), this.figure),
      this.svg,
      make("div", { class: "legend" }, ...legend, this.readout),
    );
    this.svg.addEventListener("pointermove", (event) => this.choose(this.nearest(event.offsetX)));
    this.svg.addEventListener("pointerleave", () => this.choose(null));
    this.svg.addEventListener("blur", () => this.choose(null));
    this.svg.addEventListener("keydown", (event) => this.step(event));
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  /** Show the points of the hour before `now`. */
  show(points, now) {
    this.points = points;
    this.now = now;
    this.draw();
  }

  get width() {
    return this.svg.clientWidth || 300;
  }

  x(at) {
    return LEFT + (1 - (this.now - at) / HOUR_S) * (this.width - LEFT - RIGHT);
  }

  y(value) {
    return TOP + (1 - value / this.most) * (HEIGHT - TOP - BOTTOM);
  }

  draw() {
    const values = this.points.flatMap((point) => this.lines.map(({ of }) => of(point)).filter((value) => value != null));
    this.most = roundUp(Math.max(this.least, ...values));
    this.svg.replaceChildren();
    for (const share of [0, 0.5, 1]) this.grid(this.most * share);
    for (const [ago, anchor] of [[60, "start"], [30, "middle"], [0, "end"]]) {
      const label = ago ? `${ago} min ago` : "now";
      this.add("text", { x: this.x(this.now - ago * 60), y: HEIGHT - 4, "text-anchor": anchor }, label);
    }
    this.lines.forEach((line, at) => this.line(line.of, at));
    const figure = this.headline(this.points);
    setText(this.figure, figure);
    const most = values.length ? `, at most ${this.write(Math.max(...values))}` : ", no data yet";
    this.svg.setAttribute("aria-label", `${this.title} over the last hour: ${figure}${most}. Arrow keys read points.`);
    this.mark();
  }

  grid(value) {
    const y = this.y(value);
    this.add("line", { x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y, class: "grid" });
    this.add("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, this.write(value));
  }

  line(of, at) {
    // A point without a value interrupts the line, and one alone is a dot.
    let run = [];
    const end = () => {
      const path = run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
      if (run.length === 1) this.add("circle", { cx: run[0][0], cy: run[0][1], r: 2.5, class: `dot line-${at}` });
      if (run.length > 1) {
        const base = this.y(0);
        if (at === 0) this.add("path", { d: `M${run[0][0]} ${base}L${path}L${run.at(-1)[0]} ${base}Z`, class: "area" });
        this.add("path", { d: `M${path}`, class: `line line-${at}` });
      }
      run = [];
    };
    for (const point of this.points) {
      const value = of(point);
      if (value == null) end();
      else run.push([this.x(point.at), this.y(value)]);
    }
    end();
  }

  add(tag, attributes, text) {
    this.svg.append(makeSvg(tag, attributes, text));
  }

  nearest(x) {
    const distance = (point) => Math.abs(this.x(point.at) - x);
    const best = this.points.reduce((one, other) => (one && distance(one) <= distance(other) ? one : other), null);
    return best && best.at;
  }

  step(event) {
    const change = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!change || !this.points.length) return;
    event.preventDefault();
    const at = this.points.findIndex((point) => point.at === this.chosen);
    const next = at < 0 ? this.points.length - 1 : Math.min(this.points.length - 1, Math.max(0, at + change));
    this.choose(this.points[next].at);
  }

  choose(at) {
    this.chosen = at;
    this.readout.setAttribute("aria-live", "polite");
    this.mark();
  }

  mark() {
    for (const old of this.svg.querySelectorAll(".cursor")) old.remove();
    const point = this.points.find(({ at }) => at === this.chosen);
    if (!point) return setText(this.readout, "");
    const x = this.x(point.at);
    this.add("line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor" });
    const values = this.lines.map(({ name, of }) => {
      const value = of(point);
      const written = value == null ? "–" : this.write(value);
      return this.lines.length > 1 ? `${name} ${written}` : written;
    });
    return setText(this.readout, `${clock(point.at)}: ${values.join(", ")}`);
  }
}
