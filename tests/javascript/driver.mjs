// Drives @deepgram/sdk, under Node and in a browser alike: a test tells it over a WebSocket what to do, and is told
// what the SDK delivered. Nothing here knows the protocol; every message goes through the SDK's own methods.

/** Obey `control` (an open WebSocket) with the SDK's DeepgramClient; `listen` opens a microphone, where there is one. */
export function drive(DeepgramClient, control, listen) {
  let socket;
  let told = Promise.resolve();

  // A Blob is read asynchronously: what came after it must not overtake it.
  const tell = (making) => {
    told = told.then(async () => control.send(JSON.stringify(await making())));
  };

  const obey = {
    async open({ url, key }) {
      const client = new DeepgramClient({ apiKey: key, baseUrl: url });
      const opened = await client.agent.v1.connect({ reconnectAttempts: 0 });
      opened.on("open", () => tell(() => ({ event: "open", protocol: opened.socket.protocol })));
      opened.on("message", (message) => tell(() => delivered(message)));
      opened.on("error", (error) => tell(() => ({ event: "error", error: String(error?.message ?? error) })));
      opened.on("close", ({ code }) => tell(() => ({ event: "close", code })));
      socket = opened.connect();
      await socket.waitForOpen();
    },
    send: ({ message }) => socket[`send${message.type}`](message),
    media: ({ audio }) => socket.sendMedia(Uint8Array.from(atob(audio), (char) => char.charCodeAt(0))),
    listen: () => listen((frame) => socket.readyState === 1 && socket.sendMedia(frame)),
    close: () => socket.close(),
  };

  let done = Promise.resolve();
  control.onmessage = ({ data }) => {
    const { what, ...rest } = JSON.parse(data);
    done = done
      .then(() => obey[what](rest))
      .catch((error) => tell(() => ({ event: "error", error: String(error?.stack ?? error) })));
  };
}

async function delivered(message) {
  if (message instanceof Blob) {
    const bytes = new Uint8Array(await message.arrayBuffer());
    let text = "";
    for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return { event: "audio", audio: btoa(text) };
  }
  return { event: "message", message };
}
