// One connection in the Voice Agent protocol. It carries messages and knows none of their meanings.

const OPEN_MS = 15_000;
const KEEP_ALIVE_MS = 8_000; // as Deepgram's documentation asks, while no audio is sent
const MOST_WAITING_BYTES = 1_000_000; // of microphone audio that the network does not take

/** The close code of a connection that the page itself drops. */
export const DROPPED = 4001;

export class Session {
  #socket;
  #timers = [];
  #sentAudioAt = 0;

  /** Connect. `handle` has `message(object)`, `audio(ArrayBuffer)` and `closed({code, reason, wasOpen})`. */
  constructor(address, settings, handle) {
    const socket = (this.#socket = new WebSocket(...address));
    socket.binaryType = "arraybuffer";
    let wasOpen = false;
    socket.onopen = () => {
      wasOpen = true;
      this.send(settings);
      this.#timers.push(setInterval(() => this.#keepAlive(), KEEP_ALIVE_MS));
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") handle.message(parsed(data));
      else handle.audio(data);
    };
    socket.onclose = ({ code, reason }) => {
      this.#timers.forEach(clearTimeout);
      handle.closed({ code, reason, wasOpen });
    };
    this.#timers.push(setTimeout(() => wasOpen || socket.close(), OPEN_MS));
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  send(message) {
    if (this.isOpen) this.#socket.send(JSON.stringify(message));
  }

  sendAudio(frame) {
    if (!this.isOpen || this.#socket.bufferedAmount > MOST_WAITING_BYTES) return;
    this.#socket.send(frame);
    this.#sentAudioAt = performance.now();
  }

  close(code = 1000, reason = "") {
    this.#socket.close(code, reason);
  }

  #keepAlive() {
    if (performance.now() - this.#sentAudioAt > KEEP_ALIVE_MS) this.send({ type: "KeepAlive" });
  }
}

function parsed(text) {
  try {
    const message = JSON.parse(text);
    if (typeof message?.type === "string") return message;
  } catch {
    // Reported below, like JSON without a type.
  }
  return { type: "Error", code: "UNREADABLE", description: `the endpoint sent text that is no message: ${text.slice(0, 200)}` };
}
