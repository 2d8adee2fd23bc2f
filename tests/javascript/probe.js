// Records what a page sends and receives over WebSockets, and when it was last heard. Runs before the page's own code.
(() => {
  const probe = (window.probe = { wire: [], loudAt: -Infinity, actedAt: 0, audioBytes: 0, recorded: null });

  window.WebSocket = class extends WebSocket {
    constructor(...address) {
      super(...address);
      probe.url = this.url;
      this.addEventListener("message", ({ data }) => record("received", data));
    }

    send(data) {
      record("sent", data);
      super.send(data);
    }
  };

  function record(way, data) {
    if (typeof data === "string") probe.wire.push({ way, at: performance.now(), message: JSON.parse(data) });
    else if (way === "received") probe.audioBytes += data.byteLength;
  }

  // All that is heard goes through a destination: listen to what is connected to one.
  const analysers = [];
  const recorders = [];
  const samples = new Float32Array(256);
  const { connect } = AudioNode.prototype;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) {
      const analyser = new AnalyserNode(target.context, { fftSize: samples.length });
      connect.call(this, analyser);
      analysers.push(analyser);
      recorders.push(new Recorder(this));
    }
    return connect.call(this, target, ...rest);
  };
  setInterval(() => {
    for (const analyser of analysers) {
      analyser.getFloatTimeDomainData(samples);
      if (samples.some((sample) => Math.abs(sample) > 0.01)) probe.loudAt = performance.now();
    }
  }, 10);

  // What a destination plays, as samples of 16 bits, once a test has set `probe.recorded` to a list: a list for each.
  // The window is long: on a busy machine a timer comes late, and takes all that was heard since the last time.
  class Recorder {
    constructor(node) {
      this.analyser = new AnalyserNode(node.context, { fftSize: 32768 });
      this.window = new Float32Array(this.analyser.fftSize);
      this.until = node.context.currentTime;
      this.samples = [];
      connect.call(node, this.analyser);
    }

    take() {
      const { currentTime, sampleRate } = this.analyser.context;
      const count = Math.min(this.window.length, Math.round((currentTime - this.until) * sampleRate));
      this.until = currentTime;
      this.analyser.getFloatTimeDomainData(this.window);
      for (const sample of this.window.subarray(this.window.length - count)) this.samples.push(sample * 32767);
    }
  }
  setInterval(() => {
    if (!probe.recorded) return;
    for (const recorder of recorders) recorder.take();
    probe.recorded = recorders.map((recorder) => recorder.samples);
  }, 50);

  for (const kind of ["click", "keydown"]) addEventListener(kind, () => (probe.actedAt = performance.now()), true);
})();
