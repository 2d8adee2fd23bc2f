// One connection's conversation: what each message means for the log, the voice and the history.

import { answer } from "./functions.js";
import { duration } from "./dom.js";
import { DROPPED, Session } from "./session.js";

const CALL_TEXT = "Function call: "; // how /openai shows a call, which has an entry of its own here

export class Call {
  isApplied = false;
  isUserSpeaking = false;
  /** Whether an answer is expected or under way. */
  isOpen = false;
  requestId = "";

  #session;
  #parts;
  #mocks;
  #isOpenai;
  #hasOutput = false; // of the open answer
  #isCut = false; // the AgentAudioDone of an interrupted answer is still to come
  #isMuted = false; // what comes belongs to an interrupted answer
  #answer; // the entry that grows
  #cutAnswer;
  #cutPlace; // where an interrupted answer belongs whose text is still to come: behind an element, at an index
  #heard; // the entry of what the user is saying
  #speechEndedAt;
  #echoes = []; // typed messages that the endpoint has not repeated yet
  #calls = new Map();
  #callTexts = [];
  #isEnded = false;
  #isGreeting; // what comes is the greeting's, or nothing has come yet
  #isGreetingCut = false; // the AgentAudioDone of an interrupted greeting is still to come

  /** `parts` are the log, the conversation, the player, the microphone, the turns, and `changed`, `applied`, `closed`. */
  constructor(parts, { address, settings, mocks, isOpenai }) {
    this.#parts = parts;
    this.#mocks = mocks;
    this.#isOpenai = isOpenai;
    this.#isGreeting = Boolean(settings.agent?.greeting);
    this.#session = new Session(address, settings, {
      message: (message) => this.#take(message),
      audio: (frame) => this.#hear(frame),
      closed: (how) => this.#closed(how),
    });
  }

  /** Send a typed message of the conversation; `said` is its entry on the page. */
  say(entry, said) {
    delete entry.isUnsent;
    this.#parts.conversation.keep();
    if (this.#answer) this.#isGreeting = false; // it was shown: what comes next is cut, or the answer
    this.#interrupted({
      isMuted: this.#isMuted || (this.isOpen && this.#hasOutput),
      place: this.#before({ said, entry }),
    });
    this.#echoes.push({ content: entry.content.trim(), said, entry });
    this.#parts.turns.begin("typed", performance.now());
    this.isOpen = true;
    this.#session.send({ type: "InjectUserMessage", content: entry.content });
    this.#parts.changed();
  }

  /** Send a frame of the microphone. */
  sendAudio(frame) {
    this.#session.sendAudio(frame);
  }

  /** Silence the answer that is under way. Where the endpoint is a router of ours it stops being made, too. */
  interrupt(canCancel) {
    const wasOpen = this.isOpen;
    this.#hasOutput ||= wasOpen; // what comes of the answer is cut, though nothing has come yet
    this.#interrupted({ isMuted: wasOpen });
    this.isOpen = false;
    this.#parts.turns.drop();
    if (wasOpen && canCancel && this.#isOpenai) this.#session.send({ type: "response.cancel" });
    this.#parts.changed();
  }

  close() {
    this.#isEnded = true;
    this.#session.close();
  }

  /** Close as if the network had failed: the endpoint gets no farewell that it knows. */
  drop() {
    this.#session.close(DROPPED, "dropped");
  }

  #take(message) {
    if (this.#isEnded) return;
    MEANINGS[message.type]?.call(this, message);
    this.#parts.changed();
  }

  #hear(frame) {
    if (this.#isMuted || this.#isEnded) return;
    const wait = this.#parts.player.play(frame);
    this.isOpen = true;
    this.#output("audio", performance.now() + wait);
    this.#parts.changed();
  }

  #closed(how) {
    this.#calls.clear();
    this.#parts.closed(this, { ...how, isOurs: this.#isEnded });
  }

  /** Note an output of the answer that is under way; the first of its kind tells the latency. */
  #output(kind, at = performance.now()) {
    this.#hasOutput = true;
    this.#isCut = this.#isMuted = this.#isGreetingCut = this.isUserSpeaking = false;
    if (this.#isGreeting) return; // it answers no message: nothing is timed
    this.#endSpeech();
    const ms = this.#parts.turns.first(kind, at);
    if (ms !== undefined) this.#latency[kind] = ms;
    this.#remarkLatency();
  }

  #latency = {};

  #remarkLatency() {
    const { text, audio } = this.#latency;
    if (!this.#answer || (text ?? audio) === undefined) return;
    this.#answer.remark("latency", audio === undefined ? `text after ${duration(text)}` : `sound after ${duration(audio)}`);
  }

  /** Fall silent. What is still to come of the interrupted answer is neither played nor put into the next one. */
  #interrupted({ isMuted, place = this.#end() }) {
    const { player } = this.#parts;
    const isCut = this.isOpen && this.#hasOutput;
    if (isCut || player.isPlaying) this.#answer?.remark("cut", "interrupted");
    if (isCut) {
      this.#isCut = true;
      this.#cutAnswer = this.#answer;
      this.#cutPlace = place;
    }
    player.flush();
    this.#isMuted = isMuted;
    this.#answer = this.#heard = undefined;
    this.#hasOutput = false;
    this.#latency = {};
  }

  #end() {
    return { element: this.#parts.log.last, index: this.#parts.conversation.entries.length };
  }

  /** The place in front of a typed message. */
  #before({ said, entry }) {
    return { element: said.element.previousElementSibling, index: this.#parts.conversation.entries.indexOf(entry) };
  }

  #endGreeting() {
    if (!this.#isGreeting) return;
    this.#isGreeting = this.#hasOutput = false;
    this.#answer = undefined;
  }

  #endSpeech(isLater = false) {
    if (this.#speechEndedAt !== undefined && !isLater) return;
    // The microphone knows best; without one, the message that tells of it counts.
    this.#speechEndedAt = this.#parts.microphone.isOn ? this.#parts.microphone.loudAt || performance.now() : performance.now();
    this.#parts.turns.ended(this.#speechEndedAt);
  }

  userStartedSpeaking() {
    if (this.#echoes.length) {
      // A typed message interrupts by this message, too.
      this.#isGreetingCut = this.#isGreeting && this.#hasOutput;
      this.#parts.player.flush();
      this.#isMuted = false;
      return;
    }
    this.#endGreeting();
    this.#interrupted({ isMuted: false });
    this.isOpen = false;
    this.isUserSpeaking = true;
    this.#speechEndedAt = undefined;
    this.#parts.turns.begin("spoken");
  }

  utteranceEnd() {
    this.isUserSpeaking = false;
    this.#endSpeech(true);
    this.isOpen = true;
  }

  transcript({ transcript, is_final: isFinal }) {
    if (isFinal || !transcript) return; // the final one repeats the ConversationText before it
    this.#heard ??= this.#parts.log.said("user");
    this.#heard.set(transcript, true);
  }

  userText(content) {
    const at = this.#echoes.findIndex((echo) => echo.content === content.trim());
    if (at >= 0) {
      const [{ said }] = this.#echoes.splice(at, 1);
      said.remark("state", "");
      this.#isMuted = false;
      this.#endGreeting();
      return;
    }
    const said = this.#heard ?? this.#parts.log.said("user");
    said.set(content, false);
    said.remark("state", "spoken");
    this.#heard = undefined;
    this.#parts.conversation.add({ role: "user", content });
    this.isUserSpeaking = this.#isCut = false;
    this.#endSpeech();
    if (!this.#hasOutput) this.isOpen = true;
  }

  agentText(content) {
    const shown = this.#callTexts.indexOf(content);
    if (shown >= 0) {
      this.#callTexts.splice(shown, 1);
      return;
    }
    if (this.#isCut) {
      this.#cutAnswer ??= this.#newAnswer(this.#cutPlace);
      this.#cutAnswer.remark("cut", "interrupted");
      this.#grow(this.#cutAnswer, content);
      return;
    }
    const [typed] = this.#echoes;
    this.#answer ??= this.#newAnswer(this.#isGreeting && typed ? this.#before(typed) : undefined);
    this.#grow(this.#answer, content);
    this.#output("text");
  }

  #newAnswer({ element, index } = this.#end()) {
    const said = this.#parts.log.said("assistant", "", element);
    said.entry = this.#parts.conversation.add({ role: "assistant", content: "" }, index);
    return said;
  }

  #grow(said, content) {
    said.add(content);
    said.entry.content = said.text;
    this.#parts.conversation.keep();
  }

  agentAudioDone() {
    if (this.#isGreetingCut && !this.#hasOutput) {
      this.#isGreetingCut = false;
      return;
    }
    const isBesideMessage = this.#isGreeting && this.#echoes.length > 0;
    this.#isGreeting = false;
    if (isBesideMessage) {
      this.#hasOutput = false; // the turn of the typed message is still to come
      this.#answer = this.#cutAnswer = undefined;
      return;
    }
    if (this.#isCut && !this.#hasOutput) {
      this.#isCut = this.#isMuted = false;
      return;
    }
    this.isOpen = this.#isCut = this.#isMuted = this.#hasOutput = false;
    this.#answer = this.#cutAnswer = undefined;
    this.#echoes = []; // an endpoint that repeats nothing must not turn speech into a typed interruption
    this.#latency = {};
    this.#parts.turns.drop();
  }

  async functionCall({ id, name, arguments: written, client_side: isOurs }) {
    const { log, conversation } = this.#parts;
    const call = { id, name, arguments: written, client_side: isOurs };
    const called = { call, shown: log.called(call), entry: conversation.add({ role: "function", call }) };
    this.#calls.set(id, called);
    if (this.#isOpenai) this.#callTexts.push(`${CALL_TEXT}${name}(${written})`);
    this.#hasOutput = true;
    this.#answer = undefined; // what is said about the result comes below it
    if (!isOurs) return; // its result comes as a FunctionCallResponse
    const { content, by, isFailed } = await answer(call, this.#mocks);
    if (this.#calls.get(id) !== called) return;
    this.functionResult({ id, content }, by, isFailed);
    this.#session.send({ type: "FunctionCallResponse", id, name, content });
  }

  functionResult({ id, content }, by = "the server", isFailed = false) {
    const called = this.#calls.get(id);
    if (!called) return;
    this.#calls.delete(id);
    called.shown.done(content, by, isFailed);
    called.entry.response = content;
    this.#parts.conversation.keep();
  }

  functionCancelled({ id }) {
    this.#calls.get(id)?.shown.cancelled();
    this.#calls.delete(id);
  }

  settingsApplied() {
    if (this.isApplied) return;
    this.isApplied = true;
    this.#parts.applied();
  }

  problem(role, { description, message, code }) {
    this.#parts.log.problem(role, description ?? message ?? "no description was given", code);
  }

  report(message) {
    this.#parts.turns.report(message);
  }
}

/** What each message does. An unlisted one does nothing. */
const MEANINGS = {
  Welcome({ request_id: id }) {
    this.requestId = id ?? "";
  },
  SettingsApplied() {
    this.settingsApplied();
  },
  ConversationText({ role, content }) {
    if (role === "user") this.userText(content);
    else this.agentText(content);
  },
  UserStartedSpeaking() {
    this.userStartedSpeaking();
  },
  UtteranceEnd() {
    this.utteranceEnd();
  },
  Transcript(message) {
    this.transcript(message);
  },
  AgentThinking() {
    this.isOpen = true;
  },
  AgentAudioDone() {
    this.agentAudioDone();
  },
  LatencyReport(message) {
    this.report(message);
  },
  FunctionCallRequest({ functions }) {
    for (const each of functions) this.functionCall(each);
  },
  FunctionCallResponse(message) {
    this.functionResult(message);
  },
  FunctionCallCancelled({ functions }) {
    for (const each of functions) this.functionCancelled(each);
  },
  InjectionRefused(message) {
    this.problem("warning", message);
  },
  Warning(message) {
    this.problem("warning", message);
  },
  Error(message) {
    this.problem("error", message);
  },
};
