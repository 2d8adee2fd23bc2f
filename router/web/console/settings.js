// The settings: what the panel holds, what the browser keeps of it, and the message that they become.

const KEY = "switchboard.settings";
const TOKEN_KEY = "switchboard.token";

/** The sample rate of the agent's voice, as it is asked for and played. */
export const OUTPUT_RATE = 24000;

export const EXAMPLE = [
  {
    name: "get_weather",
    description: "Current weather at a place",
    parameters: {
      type: "object",
      properties: { city: { type: "string", description: "Name of the city" } },
      required: ["city"],
    },
    mock: "Sunny, 21 degrees",
  },
];

export const DEFAULTS = Object.freeze({
  prompt: "You are a friendly voice assistant. Answer in one or two short sentences.",
  greeting: "Hello! How can I help you?",
  voice: "",
  model: "",
  turnDetection: "",
  rate: "24000",
  functions: JSON.stringify(EXAMPLE, null, 2),
});

/** Return the settings that this browser keeps, over the defaults. */
export function load() {
  const kept = read(localStorage, KEY);
  const known = Object.entries(kept).filter(([name, value]) => name in DEFAULTS && typeof value === "string");
  return { ...DEFAULTS, ...Object.fromEntries(known) };
}

/** Keep the settings in this browser. */
export function save(values) {
  write(localStorage, KEY, values);
}

/** Return the token for a host. Tokens are kept by host and until the tab closes: no link sends one elsewhere. */
export function loadToken(host) {
  const token = read(sessionStorage, TOKEN_KEY)[host];
  return typeof token === "string" ? token : "";
}

/** Keep the token for a host until the tab closes. */
export function saveToken(host, token) {
  write(sessionStorage, TOKEN_KEY, { ...read(sessionStorage, TOKEN_KEY), [host]: token || undefined });
}

/** Return the functions of a JSON text: their definitions, and the mock answers by name. Throws an `Error` with a sentence. */
export function parseFunctions(text) {
  const list = text.trim() ? parseList(text) : [];
  const mocks = new Map();
  const definitions = list.map((each, at) => {
    if (!isObject(each) || typeof each.name !== "string" || !each.name) {
      throw new Error(`Functions: entry ${at + 1} needs a "name"`);
    }
    const { mock, ...definition } = each;
    if (mock !== undefined) mocks.set(each.name, mock);
    return definition;
  });
  return { definitions, mocks };
}

/** Return the Settings message. With `messages` of an earlier conversation it carries them, and no greeting. */
export function toMessage(values, { messages = [], isOwn = true } = {}) {
  const { definitions } = parseFunctions(values.functions);
  const model = values.model || (isOwn ? "" : "gpt-4o-mini");
  return {
    type: "Settings",
    audio: {
      input: { encoding: "linear16", sample_rate: Number(values.rate) },
      output: { encoding: "linear16", sample_rate: OUTPUT_RATE, container: "none" },
    },
    agent: {
      ...(isOwn ? {} : { listen: { provider: { type: "deepgram", model: "nova-3" } } }),
      think: {
        ...(model ? { provider: { type: "open_ai", model } } : {}),
        prompt: values.prompt,
        ...(definitions.length ? { functions: definitions } : {}),
      },
      ...(values.voice ? { speak: { provider: speaker(values.voice) } } : {}),
      ...(messages.length ? { context: { messages } } : values.greeting ? { greeting: values.greeting } : {}),
    },
  };
}

function speaker(voice) {
  return /^(aura|flux)-/.test(voice)
    ? { type: "deepgram", model: voice }
    : { type: "open_ai", model: "tts-1", voice };
}

function parseList(text) {
  let list;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw new Error(`Functions: this is not JSON: ${error.message}`);
  }
  if (!Array.isArray(list)) throw new Error("Functions: this must be a list, such as [{ … }]");
  return list;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function read(storage, key) {
  try {
    const kept = JSON.parse(storage.getItem(key));
    return isObject(kept) ? kept : {};
  } catch {
    return {}; // storage may be forbidden, and anybody may have written there
  }
}

function write(storage, key, value) {
  try {
    storage.setItem(key, JSON.stringify(value));
  } catch {
    // Storage is full or forbidden: the settings hold until the page is left.
  }
}
