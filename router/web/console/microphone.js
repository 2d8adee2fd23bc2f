// The user's voice: the microphone through an AudioWorklet, with echo cancellation.

const SPEECH_LEVEL = 0.012; // RMS of full scale; quieter sound is no speech
const OVER_NOISE = 4;

export class Microphone {
  #stream;
  #context;
  #noise = 0.001;

  /** `onFrame` takes linear16 frames of 20 ms; `onLost` is called when the device goes away. */
  constructor({ onFrame, onLost }) {
    this.onFrame = onFrame;
    this.onLost = onLost;
    this.loudness = 0;
    this.loudAt = 0; // performance.now() of the latest speech
  }

  get isOn() {
    return this.#stream !== undefined;
  }

  /** Ask for the microphone and begin. Rejects with an `Error` whose message is a sentence for the user. */
  async start(rate) {
    if (!navigator.mediaDevices?.getUserMedia) throw new Error(unavailable());
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
    const stream = await navigator.mediaDevices.getUserMedia({ audio }).catch((error) => {
      throw new Error(refused(error));
    });
    try {
      // The device's own rate: not every browser resamples a microphone.
      const context = new AudioContext({ latencyHint: "interactive" });
      await context.audioWorklet.addModule(new URL("capture-worklet.js", import.meta.url));
      const capture = new AudioWorkletNode(context, "capture", {
        numberOfOutputs: 0,
        channelCount: 1,
        channelCountMode: "explicit",
        processorOptions: { rate },
      });
      capture.port.onmessage = ({ data }) => this.#take(data);
      context.createMediaStreamSource(stream).connect(capture);
      await context.resume();
      stream.getAudioTracks()[0].onended = () => this.#lost();
      this.#stream = stream;
      this.#context = context;
    } catch (error) {
      stream.getTracks().forEach((track) => track.stop());
      throw new Error(`The microphone cannot be read: ${error.message}`);
    }
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#context?.close();
    this.#stream = this.#context = undefined;
    this.loudness = 0;
  }

  level() {
    return this.loudness;
  }

  #take({ pcm, level }) {
    if (!this.isOn) return;
    this.loudness = level;
    this.#noise = Math.min(this.#noise * 1.01 + 1e-6, Math.max(level, 1e-4));
    if (level > Math.max(SPEECH_LEVEL, this.#noise * OVER_NOISE)) this.loudAt = performance.now();
    this.onFrame(pcm);
  }

  #lost() {
    this.stop();
    this.onLost();
  }
}

function unavailable() {
  return window.isSecureContext
    ? "This browser offers no microphone. You can type instead."
    : "This page came over plain http from another machine, and browsers give the microphone to https pages and to " +
        "localhost only. Open it over https, or as http://localhost. You can type meanwhile.";
}

function refused(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "The browser has no permission to use the microphone. Allow it in the address bar and press Talk again. You can type meanwhile.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No microphone was found. Connect a device and press Talk again. You can type meanwhile.";
    case "NotReadableError":
    case "AbortError":
      return "The microphone is there and cannot be opened: another program may be using the device. You can type meanwhile.";
    default:
      return `The microphone cannot be opened: ${error.message || error.name}. You can type meanwhile.`;
  }
}
