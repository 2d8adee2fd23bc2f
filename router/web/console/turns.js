// How long each answer took: from the typed message, or the end of the user's speech, to the first text and sound.

import { byId, count, duration, make, makeSvg } from "./dom.js";

const MOST_SHOWN = 24;
const CHART = { width: 320, height: 120, left: 44, bottom: 18, top: 8 };

export class Turns {
  #turns = [];
  #open;

  /** Begin a turn: `kind` is `typed` or `spoken`; `askedAt` may follow with `ended`. */
  begin(kind, askedAt) {
    this.#open = { kind, askedAt };
  }

  /** Say when the user stopped speaking. */
  ended(at) {
    if (this.#open?.kind === "spoken" && !this.#open.number) this.#open.askedAt = at;
  }

  /** Forget the turn that has begun, if nothing of its answer came. */
  drop() {
    if (!this.#open?.number) this.#open = undefined;
  }

  /** Note the first `text` or `audio` of the answer. Returns how long it took, or nothing where it was not the first. */
  first(output, at) {
    const turn = this.#open;
    if (turn?.askedAt === undefined || turn[output] !== undefined) return undefined;
    turn[output] = Math.max(0, at - turn.askedAt);
    if (!turn.number) {
      turn.number = (this.#turns.at(-1)?.number ?? 0) + 1;
      this.#turns.push(turn);
    }
    this.#render();
    return turn[output];
  }

  /** Note what the router itself measured of the latest turn (a LatencyReport, in seconds). */
  report(message) {
    const turn = this.#turns.at(-1);
    const seconds = message.total_latency ?? message.ttt_token_latency ?? message.ttt_text_latency;
    if (!turn || seconds === undefined) return;
    turn.router = seconds * 1000;
    this.#render();
  }

  clear() {
    this.#turns = [];
    this.#open = undefined;
    this.#render();
  }

  #render() {
    const shown = this.#turns.slice(-MOST_SHOWN);
    byId("latency").hidden = !shown.length;
    byId("no-latency").hidden = shown.length > 0;
    if (!shown.length) return;
    const times = shown.map(slowest).sort((one, other) => one - other);
    const median = medianOf(times);
    byId("latency-median").textContent = duration(median);
    const range = `median of ${count(times.length, "turn")}, from ${duration(times[0])} to ${duration(times.at(-1))}`;
    byId("latency-range").textContent = `to the first sound${times.length > 1 ? `: ${range}` : ", in one turn"}`;
    byId("latency-chart").replaceChildren(chart(shown, `Median ${duration(median)} over ${count(times.length, "turn")}`));
    byId("latency-rows").replaceChildren(...shown.toReversed().map(row));
  }
}

/** The sound counts; an answer without any counts by its text. */
const slowest = (turn) => turn.audio ?? turn.text;

/** Return the median of sorted numbers, of which there is at least one. */
export function medianOf(sorted) {
  const upper = sorted.length >> 1;
  return sorted.length % 2 ? sorted[upper] : (sorted[upper - 1] + sorted[upper]) / 2;
}

function row(turn) {
  const cell = (ms) => make("td", { text: ms === undefined ? "–" : duration(ms) });
  const name = make("th", { scope: "row" }, String(turn.number), " ", make("span", { text: turn.kind }));
  return make("tr", {}, name, cell(turn.text), cell(turn.audio), cell(turn.router));
}

function chart(turns, label) {
  const { width, height, left, bottom, top } = CHART;
  const scale = niceScale(Math.max(...turns.map((turn) => Math.max(turn.audio ?? 0, turn.text ?? 0))));
  const y = (ms) => height - bottom - ((height - bottom - top) * ms) / scale.most;
  const slot = (width - left) / Math.max(turns.length, 8);
  const svg = makeSvg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label}; the table has each.` });
  for (let ms = 0; ms <= scale.most; ms += scale.step) {
    svg.append(makeSvg("line", { class: "grid", x1: left, x2: width, y1: y(ms), y2: y(ms) }));
    svg.append(makeSvg("text", { x: left - 6, y: y(ms) + 3.5, "text-anchor": "end" }, ms ? duration(ms).replace(".00", "") : "0"));
  }
  turns.forEach((turn, at) => {
    const x = left + slot * at + slot / 2;
    const size = Math.min(14, slot * 0.6);
    if (turn.audio !== undefined) {
      const tall = Math.max(1.5, y(0) - y(turn.audio));
      svg.append(makeSvg("rect", { class: "audio", x: x - size / 2, y: y(0) - tall, width: size, height: tall, rx: 1.5 }));
    }
    if (turn.text !== undefined) svg.append(makeSvg("circle", { class: "text", cx: x, cy: y(turn.text), r: Math.min(3.2, size / 2) }));
    if (turns.length <= 12 || turn.number % 4 === 0) {
      svg.append(makeSvg("text", { x, y: height - 5, "text-anchor": "middle" }, String(turn.number)));
    }
  });
  return svg;
}

function niceScale(most) {
  const step = [50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000].find((each) => most <= each * 4) ?? 30_000;
  return { step, most: Math.max(step * 2, Math.ceil(most / step) * step) };
}
