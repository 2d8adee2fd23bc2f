// The page: what its controls do, and what they show.

import { Call } from "./call.js";
import { Conversation } from "./conversation.js";
import { byId, count, make } from "./dom.js";
import { Log } from "./log.js";
import { Meters } from "./meters.js";
import { Microphone } from "./microphone.js";
import { panels } from "./panels.js";
import * as place from "./place.js";
import { Player } from "./player.js";
import { DROPPED } from "./session.js";
import * as settings from "./settings.js";
import { SettingsForm } from "./settings-form.js";
import { Turns } from "./turns.js";
import { WireView } from "./wire-view.js";

const STATES = {
  disconnected: "Disconnected",
  connecting: "Connecting",
  ready: "Ready",
  listening: "Listening",
  thinking: "Thinking",
  speaking: "Speaking",
};

const MIND = "A simulator on this machine takes the calls, and a language model gives its answers.";

const UNKNOWN_CLOSE = 1006;
const WITHOUT_FAULT = new Set([1000, 1001, 1012, DROPPED]);

class Console {
  #call;
  #url;
  #said = new WeakMap();
  #conversation = new Conversation();
  #log = new Log(byId("log"));
  #turns = new Turns();
  #player = new Player(settings.OUTPUT_RATE, () => this.#show());
  #microphone = new Microphone({
    onFrame: (frame) => this.#call?.sendAudio(frame),
    onLost: () => this.#warn("The microphone is gone: its device was disconnected, or its permission withdrawn."),
  });
  #form = new SettingsForm(() => this.#where());
  #wire = place.facts.hasWireView ? new WireView() : undefined;
  #panels = panels();
  #meters = new Meters([
    { element: byId("user-meter"), level: () => this.#microphone.level() },
    { element: byId("agent-meter"), level: () => this.#player.level() },
  ]);

  constructor() {
    this.#listen();
    this.#restore();
    this.#show();
  }

  // What the controls do.

  #listen() {
    byId("connection").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#connect();
      byId("message").focus();
    });
    byId("disconnect").addEventListener("click", () => this.#call?.close());
    byId("talk").addEventListener("click", () => this.#toggleTalk());
    byId("interrupt").addEventListener("click", () => this.#interrupt());
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    byId("message").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    byId("message").addEventListener("input", grow);
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !byId("interrupt").disabled) this.#interrupt();
    });
    for (const id of ["backend", "endpoint"]) byId(id).addEventListener("change", () => this.#placed());
    for (const chip of document.querySelectorAll(".chip")) {
      chip.addEventListener("click", () => this.#say(chip.textContent));
    }
    byId("drop").addEventListener("click", () => this.#call?.drop());
    byId("reload").addEventListener("click", () => location.reload());
    byId("clear").addEventListener("click", () => this.#forget());
  }

  async #connect() {
    if (this.#call) return;
    this.#panels.makeRoom();
    try {
      const values = this.#form.values();
      const url = place.target(this.#where(), values.turnDetection);
      const messages = this.#conversation.messages();
      const options = {
        address: place.withToken(url, this.#form.token()),
        settings: settings.toMessage(values, { messages, isOwn: place.isSparse(url) }),
        mocks: settings.parseFunctions(values.functions).mocks,
        isOpenai: this.#where().backend === "openai",
      };
      this.#player.open().catch(() => {}); // without an audio device the rest still works
      this.#url = url;
      this.#call = new Call(this.#parts(), options);
      byId("address").textContent = shown(url);
      byId("context").textContent = messages.length ? count(messages.length, "message") : "none: a new conversation";
      if (messages.length) this.#log.remark(`Connecting with ${count(messages.length, "message")} of the conversation so far.`);
    } catch (error) {
      this.#log.problem("error", error.message);
    }
    this.#show();
  }

  #parts() {
    return {
      log: this.#log,
      conversation: this.#conversation,
      player: this.#player,
      microphone: this.#microphone,
      turns: this.#turns,
      changed: () => this.#show(),
      applied: () => this.#sendWaiting(),
      closed: (call, how) => this.#closed(call, how),
    };
  }

  #send() {
    const box = byId("message");
    const text = box.value.trim();
    if (text) this.#say(text);
    box.value = "";
    grow.call(box);
    box.focus();
  }

  /** Add a message to the conversation at once, and send it when there is a connection. */
  #say(text) {
    this.#panels.makeRoom();
    const entry = this.#conversation.add({ role: "user", content: text, isUnsent: true });
    const said = this.#log.said("user", text);
    said.remark("state", "sending");
    this.#said.set(entry, said);
    if (this.#call?.isApplied) this.#sendWaiting();
    else this.#connect();
    this.#show();
  }

  #sendWaiting() {
    for (const entry of this.#conversation.unsent()) this.#call.say(entry, this.#said.get(entry));
  }

  async #toggleTalk() {
    if (this.#microphone.isOn) {
      this.#microphone.stop();
      this.#show();
      return;
    }
    this.#panels.makeRoom();
    byId("talk").setAttribute("aria-busy", "true");
    try {
      this.#player.open().catch(() => {});
      await this.#microphone.start(Number(this.#form.values().rate));
      if (!this.#call) await this.#connect();
      if (!this.#call) this.#microphone.stop();
    } catch (error) {
      this.#warn(error.message);
    }
    byId("talk").removeAttribute("aria-busy");
    this.#show();
  }

  #interrupt() {
    if (this.#call) this.#call.interrupt(place.isOwn(this.#url));
    else this.#player.flush();
    this.#show();
  }

  #forget() {
    const call = this.#call;
    this.#call = undefined;
    call?.close();
    this.#microphone.stop();
    this.#player.flush();
    this.#conversation.clear();
    this.#turns.clear();
    this.#log.clear();
    this.#show();
    byId("message").focus();
  }

  #where() {
    return { backend: byId("backend").value, endpoint: byId("endpoint").value.trim() };
  }

  #placed() {
    place.toQuery(this.#where());
    this.#showPlace();
  }

  // What happens to the connection.

  #closed(call, { code, reason, wasOpen, isOurs }) {
    if (call !== this.#call) return;
    this.#call = undefined;
    this.#microphone.stop();
    this.#player.flush();
    this.#turns.drop();
    if (isOurs) this.#log.remark("Disconnected.");
    else if (!wasOpen) this.#refused(code);
    else this.#log.problem(WITHOUT_FAULT.has(code) ? "warning" : "error", ended(code, reason));
    for (const entry of this.#conversation.unsent()) this.#said.get(entry)?.remark("state", "not sent yet");
    const hadFocus = document.activeElement === byId("disconnect");
    this.#show();
    if (hadFocus) byId("connect").focus();
  }

  async #refused() {
    const reasons = ["nothing answers there", "it does not speak this protocol", "it wants another token"];
    const why = place.isOwn(this.#url) ? await readiness() : undefined;
    const problem = why ?? `${reasons.slice(0, -1).join(", ")}, or ${reasons.at(-1)}`;
    this.#log.problem("error", `There is no connection to ${shown(this.#url)}: ${problem}.`);
    this.#show();
  }

  #warn(sentence) {
    this.#log.problem("warning", sentence);
    this.#show();
  }

  // What the page shows.

  #restore() {
    const { backend, endpoint } = place.fromQuery();
    byId("backend").append(...Object.entries(place.BACKENDS).map(([value, text]) => new Option(text, value)));
    byId("backend").value = backend;
    byId("endpoint").value = endpoint;
    this.#showPlace();
    byId("simulator-note").hidden = !place.facts.isSimulator;
    if (place.facts.hasMind) byId("simulator-answers").textContent = MIND;
    const advice = place.facts.voiceAdvice ?? "It understands speech, and answers in words.";
    const [, sentence, command] = /^(.*?)(pip install .+)?$/.exec(advice);
    byId("voice-note").append(sentence, command ? make("code", { text: command }) : "");
    for (const entry of this.#conversation.entries) this.#restoreEntry(entry);
    if (!this.#log.isEmpty) this.#log.remark("This is the conversation before the reload. The next connection goes on with it.");
  }

  #restoreEntry(entry) {
    if (entry.role === "function") {
      const called = this.#log.called(entry.call);
      if (entry.response === undefined) called.cancelled();
      else called.done(entry.response, "");
      return;
    }
    const said = this.#log.said(entry.role, entry.content);
    said.remark("time", "");
    if (entry.isUnsent) said.remark("state", "not sent yet");
    this.#said.set(entry, said);
  }

  #showPlace() {
    byId("endpoint").placeholder = place.ownUrl(this.#where().backend).href;
    this.#form.showToken();
  }

  #state() {
    if (!this.#call) return "disconnected";
    if (!this.#call.isApplied) return "connecting";
    if (this.#player.isPlaying) return "speaking";
    if (this.#call.isOpen) return "thinking";
    return this.#microphone.isOn ? "listening" : "ready";
  }

  #show() {
    const state = this.#state();
    const isConnected = state !== "disconnected";
    const status = byId("status");
    const text = this.#call?.isUserSpeaking && state === "listening" ? "You are speaking" : STATES[state];
    if (status.textContent !== text) status.textContent = text;
    status.dataset.state = state;
    document.body.dataset.connected = isConnected;
    byId("connect").disabled = byId("backend").disabled = byId("endpoint").disabled = isConnected;
    byId("disconnect").disabled = byId("drop").disabled = !isConnected;
    byId("talk").textContent = this.#microphone.isOn ? "Stop talking" : "Talk";
    byId("talk").dataset.on = this.#microphone.isOn;
    const canInterrupt = state === "speaking" || state === "thinking";
    if (!canInterrupt && document.activeElement === byId("interrupt")) byId("message").focus();
    byId("interrupt").disabled = !canInterrupt;
    byId("request-id").textContent = this.#call?.requestId || "–";
    if (this.#call?.requestId) this.#wire?.follow(this.#call.requestId);
    byId("welcome").hidden = !this.#log.isEmpty;
    this.#meters.follow(this.#microphone.isOn || this.#player.isPlaying);
  }
}

/** Ask the page's own router why it takes no call. */
async function readiness() {
  try {
    const response = await fetch(place.facts.ready, { cache: "no-store" });
    const { ready, reason } = await response.json();
    return ready ? undefined : `the router is not ready (${reason})`;
  } catch {
    return "the router does not answer";
  }
}

function ended(code, reason) {
  if (code === DROPPED) return "The connection was dropped, as if the network had failed. Connect, talk or send to go on.";
  const how = code === UNKNOWN_CLOSE ? "without a farewell: the endpoint or the network is gone" : `with code ${code}${reason ? `: ${reason}` : ""}`;
  return `The connection was closed ${how}. Connect, talk or send to go on.`;
}

/** Write a URL without its token. */
function shown(url) {
  const hidden = new URL(url);
  hidden.searchParams.delete("token");
  return hidden.href;
}

function grow() {
  this.style.height = "auto";
  this.style.height = `${Math.min(this.scrollHeight + 2, 160)}px`;
}

new Console();
