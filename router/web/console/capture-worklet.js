// The microphone's thread: resamples to the wanted rate, and posts frames of 20 ms with their loudness.

const TAPS = 32; // at the lower of the two rates; the stop band begins a little below its half
const ROLL_OFF = 0.92;

class Capture extends AudioWorkletProcessor {
  constructor({ processorOptions: { rate } }) {
    super();
    this.step = sampleRate / rate;
    this.phases = phases(this.step);
    this.taps = this.phases[0].length;
    this.history = new Float32Array(this.taps + 4096);
    this.filled = this.taps; // the filter begins in silence
    this.position = 0; // of the next output, in samples behind the first of the history
    this.frame = new Int16Array(Math.round(rate / 50));
    this.at = 0;
    this.energy = 0;
  }

  process([[input]]) {
    if (!input) return true;
    this.history.set(input, this.filled);
    this.filled += input.length;
    let place = this.position;
    while (Math.floor(place) + this.taps <= this.filled) {
      const from = Math.floor(place);
      const phase = Math.round((place - from) * this.phases.length);
      const kernel = this.phases[Math.min(phase, this.phases.length - 1)];
      let sample = 0;
      for (let tap = 0; tap < this.taps; tap++) sample += kernel[tap] * this.history[from + tap];
      this.#take(sample);
      place += this.step;
    }
    const used = Math.min(Math.floor(place), this.filled);
    this.history.copyWithin(0, used, this.filled);
    this.filled -= used;
    this.position = place - used;
    return true;
  }

  #take(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.energy += clipped * clipped;
    this.frame[this.at++] = Math.round(clipped * 32767);
    if (this.at < this.frame.length) return;
    const pcm = this.frame.slice().buffer;
    this.port.postMessage({ pcm, level: Math.sqrt(this.energy / this.at) }, [pcm]);
    this.at = this.energy = 0;
  }
}

/** Return the filter at each fraction of a sample: windowed sinc, of unit gain. Equal rates pass unchanged. */
function phases(step) {
  if (step === 1) return [Float32Array.of(1)];
  const scale = Math.max(1, step);
  const taps = 2 * Math.ceil((TAPS * scale) / 2);
  const cutoff = ROLL_OFF / scale;
  return Array.from({ length: 160 }, (_, phase) => {
    const kernel = Float32Array.from({ length: taps }, (_, tap) => {
      const x = tap - taps / 2 + 1 - phase / 160;
      const window = Math.abs(x) < taps / 2 ? 0.5 + 0.5 * Math.cos((2 * Math.PI * x) / taps) : 0;
      return window * (x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x));
    });
    const sum = kernel.reduce((total, each) => total + each);
    return kernel.map((each) => each / sum);
  });
}

registerProcessor("capture", Capture);
