// The conversation on the page: one entry for each thing said, called or gone wrong.

import { clock, make } from "./dom.js";

const NAMES = { user: "You", assistant: "Agent", function: "Function", warning: "Warning", error: "Error" };
const NEAR_END_PX = 120;

export class Log {
  #element;

  constructor(element) {
    this.#element = element;
  }

  get isEmpty() {
    return !this.#element.childElementCount;
  }

  clear() {
    this.#element.replaceChildren();
  }

  get last() {
    return this.#element.lastElementChild;
  }

  /** Add something that the user or the agent says: at the end, or behind the element `place`; null is the front. */
  said(role, text = "", place = this.last) {
    return new Said(this, role, text, place);
  }

  /** Add a function call. */
  called(call) {
    return new Called(this, call);
  }

  /** Add a warning or an error. */
  problem(role, text, code = "") {
    const body = make("p", { class: "text", text });
    if (code) body.append(" ", make("code", { class: "code", text: code }));
    this.append(role, body);
  }

  /** Add a remark of the console itself. It is no entry of the conversation. */
  remark(text) {
    this.#scrolled(() => this.#element.append(make("p", { class: "remark", text })));
  }

  append(role, ...children) {
    return this.insert(this.last, role, ...children);
  }

  insert(place, role, ...children) {
    const name = make("p", { class: "name", text: NAMES[role] });
    const entry = make("div", { class: "entry", data: { role } }, name, ...children);
    this.#scrolled(() => {
      if (place === null) this.#element.prepend(entry);
      else if (place?.isConnected) place.after(entry);
      else this.#element.append(entry);
    });
    return entry;
  }

  /** Follow what is added, unless the reader has scrolled back. */
  changed(change) {
    this.#scrolled(change);
  }

  #scrolled(change) {
    const { scrollHeight, scrollTop, clientHeight } = this.#element;
    const follows = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    change();
    if (follows) this.#element.scrollTop = this.#element.scrollHeight;
  }
}

/** Something said. It grows sentence by sentence. */
class Said {
  #log;
  #text = make("p", { class: "text" });
  #meta = make("p", { class: "meta" });
  #remarks = new Map();

  constructor(log, role, text, place) {
    this.#log = log;
    this.element = log.insert(place, role, this.#text, this.#meta);
    this.remark("time", clock());
    if (text) this.add(text);
  }

  get text() {
    return this.#text.textContent;
  }

  /** Add a sentence: a span of its own, so that a screen reader reads it alone. */
  add(sentence) {
    const separator = this.#text.childElementCount ? " " : "";
    this.#log.changed(() => this.#text.append(separator, make("span", { text: sentence })));
  }

  /** Replace the text; while it is provisional, a screen reader waits for the rest. */
  set(text, isProvisional) {
    this.element.toggleAttribute("aria-busy", isProvisional);
    if (isProvisional) this.element.setAttribute("aria-busy", "true");
    this.#log.changed(() => this.#text.replaceChildren(make("span", { text })));
  }

  /** Say something about it, such as its latency; one remark of each kind, and none for an empty text. */
  remark(kind, text) {
    if (text) this.#remarks.set(kind, text);
    else this.#remarks.delete(kind);
    this.#log.changed(() => {
      this.#meta.replaceChildren(...[...this.#remarks].map(([kind, text]) => make("span", { data: { kind }, text })));
    });
  }
}

/** A function call, and then its result. */
class Called {
  #log;
  #result = make("code", { text: "…" });
  #meta = make("span", { class: "by" });

  constructor(log, call) {
    this.#log = log;
    this.element = log.append(
      "function",
      make("p", { class: "call" }, make("strong", { text: call.name }), " ", make("code", { text: call.arguments })),
      make("p", { class: "result" }, make("span", { class: "label", text: "Result" }), " ", this.#result, " ", this.#meta),
    );
    this.state("running");
  }

  /** Show the result. */
  done(content, by, isFailed = false) {
    this.state(isFailed ? "failed" : "done");
    this.#log.changed(() => {
      this.#result.textContent = content;
      this.#meta.textContent = by ? `by ${by}` : "";
    });
  }

  /** Show that nobody waits for the result any more. */
  cancelled() {
    this.state("cancelled");
    this.#log.changed(() => (this.#result.textContent = "cancelled: you interrupted"));
  }

  state(state) {
    this.element.dataset.state = state;
  }
}
