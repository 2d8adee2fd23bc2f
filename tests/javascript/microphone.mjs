// A browser's microphone, as an application opens it: 16 kHz, linear16, a frame for every 20 ms.

const WORKLET = `
registerProcessor("frames", class extends AudioWorkletProcessor {
  frame = new Int16Array(320);
  filled = 0;
  process([[samples]]) {
    for (const sample of samples ?? []) {
      this.frame[this.filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.filled === this.frame.length) {
        this.port.postMessage(this.frame.slice());
        this.filled = 0;
      }
    }
    return true;
  }
});`;

/** Hand every frame that the microphone hears to `take`. */
export async function listen(take) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext({ sampleRate: 16000 });
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" })));
  const frames = new AudioWorkletNode(context, "frames", { numberOfOutputs: 0 });
  frames.port.onmessage = ({ data }) => take(data);
  context.createMediaStreamSource(stream).connect(frames);
  await context.resume();
}
