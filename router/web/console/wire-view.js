// The wire view: both protocols side by side in time, as the router recorded them.

import { byId, duration, make, makeSvg } from "./dom.js";
import { asHeaders } from "./place.js";
import * as settings from "./settings.js";

const ADDRESS = "console/wire";
const ROWS_MS = 400;
const SESSIONS_MS = 2000;
const MOST_SHOWN = 1500; // older rows leave the page, and stay in the download

const ARROWS = { "client received": "→", "client sent": "←", "upstream sent": "→", "upstream received": "←" };
const TELLING = ["content", "transcript", "text", "description", "delta", "message", "name", "prompt", "request_id"];

const FILTERS = {
  "": () => true,
  text: (row) => !row.audio,
  client: (row) => row.leg !== "upstream",
  upstream: (row) => row.leg !== "client",
};

export class WireView {
  #session = "";
  #rows = [];
  #followed = "";
  #timers = [];
  #lastStep;
  #formats = {};

  constructor() {
    document.addEventListener("panel", ({ detail }) => (detail === "wire" ? this.#open() : this.#close()));
    byId("wire-session").addEventListener("change", () => this.#choose(byId("wire-session").value));
    byId("wire-search").addEventListener("input", () => this.#renderAll());
    byId("wire-filter").addEventListener("change", () => this.#renderAll());
    byId("wire-download").addEventListener("click", () => this.#download());
  }

  /** Show the console's own session, once for each. */
  follow(id) {
    if (id === this.#followed) return;
    this.#followed = id;
    this.#choose(id);
    if (this.#timers.length) this.#listSessions();
  }

  #open() {
    this.#close();
    this.#listSessions();
    this.#timers = [setInterval(() => this.#listSessions(), SESSIONS_MS), setInterval(() => this.#read(), ROWS_MS)];
  }

  #close() {
    this.#timers.forEach(clearInterval);
    this.#timers = [];
  }

  #choose(id) {
    this.#session = id;
    this.#rows = [];
    this.#formats = {};
    this.#renderAll();
    this.#read();
  }

  async #listSessions() {
    const { sessions } = (await ask("")) ?? { sessions: [] };
    const select = byId("wire-session");
    const options = sessions.map(({ id, profile, unix_s: begun, is_live: isLive }) => {
      const at = new Date(begun * 1000).toLocaleTimeString([], { timeStyle: "medium" });
      const whose = id === this.#followed ? ", this page" : "";
      return make("option", { value: id, text: `${at} ${profile}${whose}${isLive ? "" : ", ended"}` });
    });
    select.replaceChildren(...options);
    if (!this.#session && sessions.length) this.#choose(sessions[0].id);
    select.value = this.#session;
  }

  #isReading = false;

  async #read() {
    if (!this.#session || this.#isReading || !this.#timers.length) return;
    this.#isReading = true;
    const session = this.#session;
    const page = await ask(`?session=${encodeURIComponent(session)}&after=${this.#rows.at(-1)?.n ?? 0}`);
    this.#isReading = false;
    if (session !== this.#session) {
      this.#read();
      return;
    }
    for (const row of page?.rows ?? []) {
      this.#rows.push(row);
      this.#learnFormat(row);
      this.#render(row);
    }
    byId("wire-empty").hidden = this.#rows.length > 0;
  }

  #renderAll() {
    this.#lastStep = undefined;
    byId("wire-rows").replaceChildren();
    this.#rows.slice(-MOST_SHOWN).forEach((row) => this.#render(row));
    byId("wire-empty").hidden = this.#rows.length > 0;
  }

  #render(row) {
    if (!this.#isWanted(row)) return;
    const list = byId("wire-rows");
    const scroller = byId("panels");
    const follows = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
    const isCause = row.step !== this.#lastStep;
    this.#lastStep = row.step;
    const what = make("div", { class: `what ${row.leg} ${row.way ?? ""}` }, this.#what(row));
    list.append(make("li", { class: isCause ? "cause" : "" }, make("time", { text: `${row.s.toFixed(3)} s` }), what));
    while (list.childElementCount > MOST_SHOWN) list.firstElementChild.remove();
    if (follows) scroller.scrollTop = scroller.scrollHeight;
  }

  #what(row) {
    if (row.event) return make("span", { class: row.leg === "router" ? "" : "event", text: row.event });
    const arrow = make("span", { class: "arrow", text: ARROWS[`${row.leg} ${row.way}`] });
    const generation = row.generation
      ? make("span", { class: "generation", data: { generation: row.generation }, title: `upstream ${row.generation}`, text: row.generation })
      : null;
    if (row.audio) return make("span", {}, arrow, generation, bars(row.audio), this.#audioText(row));
    const message = parsed(row.text);
    const summary = make(
      "summary",
      {},
      arrow,
      generation,
      make("span", { class: "type", text: message?.type ?? "not JSON" }),
      make("span", { class: "preview", text: preview(message) }),
    );
    const details = make("details", {}, summary);
    details.addEventListener("toggle", () => {
      if (details.childElementCount === 1) {
        details.append(make("pre", { tabindex: 0, text: message ? JSON.stringify(message, null, 2) : row.text }));
      }
    });
    return details;
  }

  #audioText(row) {
    const bytes = row.audio.reduce((sum, [size]) => sum + size, 0);
    const perSecond = this.#formats[`${row.leg} ${row.way}`];
    const ms = perSecond ? `${duration((1000 * bytes) / perSecond)}, ` : "";
    return make("span", { class: "preview", text: `audio, ${ms}${bytes.toLocaleString()} bytes` });
  }

  /** Settings and session.update say what a second of audio is. */
  #learnFormat(row) {
    const message = row.text ? parsed(row.text) : undefined;
    if (message?.type === "Settings") {
      this.#formats["client received"] = bytesPerSecond(message.audio?.input?.encoding, message.audio?.input?.sample_rate);
      this.#formats["client sent"] = bytesPerSecond(message.audio?.output?.encoding, message.audio?.output?.sample_rate);
    } else if (message?.type === "session.update") {
      const { input, output } = message.session?.audio ?? {};
      this.#formats["upstream sent"] ??= bytesPerSecond(input?.format?.type, input?.format?.rate);
      this.#formats["upstream received"] ??= bytesPerSecond(output?.format?.type, output?.format?.rate);
    }
  }

  #isWanted(row) {
    const wanted = byId("wire-search").value.trim().toLowerCase();
    const text = row.text ?? row.event ?? "audio";
    return FILTERS[byId("wire-filter").value](row) && text.toLowerCase().includes(wanted);
  }

  #download() {
    const lines = this.#rows.map((row) => JSON.stringify({ ...row, ...(row.text ? { text: undefined, message: parsed(row.text) ?? row.text } : {}) }));
    const url = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "application/jsonl" }));
    make("a", { href: url, download: `wire-${this.#session.slice(0, 8)}.jsonl` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
}

async function ask(query) {
  try {
    const response = await fetch(ADDRESS + query, { cache: "no-store", headers: asHeaders(settings.loadToken(location.host)) });
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined; // the router is gone; the next round asks again
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function preview(message) {
  if (!message) return "";
  const code = message.code ?? message.error?.code;
  if (code) return ` ${code}: ${message.description ?? message.error?.message ?? ""}`;
  if (message.functions) return ` ${message.functions.map((each) => `${each.name}(${each.arguments ?? ""})`).join(", ")}`;
  const inner = message.item ?? message.response ?? message.error ?? message.session ?? message;
  for (const name of TELLING) {
    const value = message[name] ?? inner[name];
    if (typeof value === "string" && value) return ` ${message.role ? `${message.role}: ` : ""}${value}`;
  }
  const part = inner.content?.[0];
  return part?.text ?? part?.transcript ? ` ${inner.role}: ${part.text ?? part.transcript}` : inner.status ? ` ${inner.status}` : "";
}

function bytesPerSecond(encoding = "linear16", rate = 24_000) {
  if (/linear32/.test(encoding)) return 4 * rate;
  return /law|pcmu|pcma/.test(encoding) ? rate : 2 * rate;
}

/** Draw the frames of a row, each as tall as it is loud. */
function bars(frames) {
  const step = 100 / Math.max(25, frames.length);
  const path = frames.map(([, loudness], at) => {
    const tall = Math.max(0.6, 8 * Math.sqrt(loudness));
    return `M${(at * step + 1).toFixed(1)} ${(8 - tall).toFixed(1)}v${(2 * tall).toFixed(1)}`;
  });
  return makeSvg("svg", { class: "bars", viewBox: "0 0 100 16", preserveAspectRatio: "none", "aria-hidden": "true" }, makeSvg("path", { d: path.join("") }));
}
