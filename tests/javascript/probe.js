// Records what a page sends and receives over WebSockets, and when it was last heard. Runs before the page's own code.
(() => {
  const probe = (window.probe = { wire: [], loudAt: -Infinity, actedAt: 0, audioBytes: 0 });

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
  const samples = new Float32Array(256);
  const { connect } = AudioNode.prototype;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) {
      const analyser = new AnalyserNode(target.context, { fftSize: samples.length });
      connect.call(this, analyser);
      analysers.push(analyser);
    }
    return connect.call(this, target, ...rest);
  };
  setInterval(() => {
    for (const analyser of analysers) {
      analyser.getFloatTimeDomainData(samples);
      if (samples.some((sample) => Math.abs(sample) > 0.01)) probe.loudAt = performance.now();
    }
  }, 10);
  for (const kind of ["click", "keydown"]) addEventListener(kind, () => (probe.actedAt = performance.now()), true);
})();
