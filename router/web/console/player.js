// The agent's voice: linear16 frames through Web Audio, one behind the other, and silenced at once.

const LEAD_S = 0.08; // between the first frame and its sound, so that a late second frame leaves no gap
const FADE_S = 0.015; // a cut without a click
const LINGER_MS = 250; // a gap of the network is not the end of a sentence

export class Player {
  #context;
  #output;
  #analyser;
  #samples = new Float32Array(512);
  #sources = new Set();
  #next = 0;
  #odd = new Uint8Array();
  #lingering;

  /** `onChange` is called when playing begins and when it ends. */
  constructor(rate, onChange) {
    this.rate = rate;
    this.onChange = onChange;
    this.isPlaying = false;
  }

  /** Open the audio device. Call it in a user's gesture: browsers refuse sound otherwise. */
  open() {
    if (this.#context) return this.#context.resume();
    this.#context = new AudioContext({ sampleRate: this.rate, latencyHint: "interactive" });
    this.#analyser = new AnalyserNode(this.#context, { fftSize: this.#samples.length });
    this.#analyser.connect(this.#context.destination);
    this.#output = this.#newOutput();
    return this.#context.resume();
  }

  /** Play a frame behind those that wait. Returns the milliseconds until it is audible. */
  play(frame) {
    const samples = this.#whole(frame);
    if (!this.#context || !samples.length) return 0;
    const buffer = this.#context.createBuffer(1, samples.length, this.rate);
    const channel = buffer.getChannelData(0);
    for (let at = 0; at < samples.length; at++) channel[at] = samples[at] / 32768;
    const source = new AudioBufferSourceNode(this.#context, { buffer });
    source.connect(this.#output);
    source.onended = () => this.#ended(source);
    const now = this.#context.currentTime;
    if (this.#next < now) this.#next = now + LEAD_S;
    const wait = this.#next - now + (this.#context.outputLatency || 0);
    source.start(this.#next);
    this.#next += buffer.duration;
    this.#sources.add(source);
    clearTimeout(this.#lingering);
    this.#set(true);
    return wait * 1000;
  }

  /** Fall silent, and forget what waits. */
  flush() {
    clearTimeout(this.#lingering);
    this.#odd = new Uint8Array();
    if (this.#sources.size) {
      const output = this.#output;
      const now = this.#context.currentTime;
      output.gain.setValueAtTime(1, now);
      output.gain.linearRampToValueAtTime(0, now + FADE_S);
      for (const source of this.#sources) {
        source.onended = null;
        source.stop(now + FADE_S);
      }
      setTimeout(() => output.disconnect(), 200);
      this.#sources.clear();
      this.#output = this.#newOutput();
    }
    this.#next = 0;
    this.#set(false);
  }

  /** Return how loud it is, from 0 to 1 of full scale (RMS). */
  level() {
    if (!this.isPlaying) return 0;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let sum = 0;
    for (const sample of this.#samples) sum += sample * sample;
    return Math.sqrt(sum / this.#samples.length);
  }

  #newOutput() {
    const output = new GainNode(this.#context);
    output.connect(this.#analyser);
    return output;
  }

  #ended(source) {
    this.#sources.delete(source);
    source.disconnect();
    if (!this.#sources.size) this.#lingering = setTimeout(() => this.#set(false), LINGER_MS);
  }

  #set(isPlaying) {
    if (isPlaying === this.isPlaying) return;
    this.isPlaying = isPlaying;
    this.onChange();
  }

  /** A frame may end in mid-sample: the byte goes before the next one. */
  #whole(frame) {
    const bytes = new Uint8Array(this.#odd.length + frame.byteLength);
    bytes.set(this.#odd);
    bytes.set(new Uint8Array(frame), this.#odd.length);
    const even = bytes.length & ~1;
    this.#odd = bytes.slice(even);
    return new Int16Array(bytes.buffer, 0, even / 2);
  }
}
