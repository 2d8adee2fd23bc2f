// The settings as code that holds the same conversation.

import { asText } from "./functions.js";
import { parseFunctions, toMessage } from "./settings.js";
import { isSparse } from "./place.js";

const CONVERSE = "/v1/agent/converse"; // which Deepgram's SDKs append to the host themselves

/** Each takes the values of the panel and the URL that the console connects to, and returns text. */
export const SNIPPETS = { json: asJson, python: asPython, javascript: asJavaScript };

function asJson(values, url) {
  return `${JSON.stringify(toMessage(values, { isOwn: isSparse(url) }), null, 2)}\n`;
}

function asPython(values, url) {
  const { message, mocks, host } = ingredients(values, url);
  return `"""A conversation by text. Needs: pip install deepgram-sdk"""
import json
import threading

from deepgram import DeepgramClient
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment

HOST = ${JSON.stringify(host)}
SETTINGS = json.loads(r"""
${pythonRaw(message)}
""")
ANSWERS = json.loads(r"""
${pythonRaw(mocks)}
""")

http = HOST.replace("ws", "http", 1)
environment = DeepgramClientEnvironment(base=http, production=HOST, agent=HOST, agent_rest=http)
client = DeepgramClient(api_key="unused", environment=environment)
is_applied, is_done = threading.Event(), threading.Event()


def on_message(message):
    if isinstance(message, bytes):
        return  # linear16 at 24 kHz: the agent's voice
    match message.type:
        case "SettingsApplied":
            is_applied.set()
        case "AgentAudioDone":
            is_done.set()
        case "ConversationText":
            print(f"{message.role}: {message.content}")
        case "FunctionCallRequest":
            for call in message.functions:
                content = ANSWERS.get(call.name, '{"error": "unknown function"}')
                print(f"function: {call.name}({call.arguments}) -> {content}")
                agent.send_raw({"type": "FunctionCallResponse", "id": call.id, "name": call.name, "content": content})
        case "Warning" | "Error":
            print(f"{message.type}: {message.description} ({message.code})")


with client.agent.v1.connect() as agent:
    agent.on(EventType.MESSAGE, on_message)
    threading.Thread(target=agent.start_listening, daemon=True).start()
    agent.send_raw(SETTINGS)
    is_applied.wait(30)
    if "greeting" in SETTINGS["agent"]:
        is_done.wait(5)
    while text := input("> "):
        is_done.clear()
        agent.send_raw({"type": "InjectUserMessage", "content": text})
        is_done.wait(60)
`;
}

function asJavaScript(values, url) {
  const { message, mocks, host } = ingredients(values, url);
  return `// A conversation by text. Needs: npm install @deepgram/sdk; run it with node.
import { createInterface } from "node:readline/promises";
import { DeepgramClient } from "@deepgram/sdk";

const settings = ${JSON.stringify(message, null, 2)};
const answers = ${JSON.stringify(mocks, null, 2)};

const client = new DeepgramClient({ apiKey: "unused", baseUrl: ${JSON.stringify(host)} });
const agent = await client.agent.v1.connect();
const waiting = {}; // by the type that is waited for

agent.on("message", (message) => {
  if (message instanceof Blob) return; // linear16 at 24 kHz: the agent's voice
  waiting[message.type]?.();
  if (message.type === "ConversationText") console.log(\`\${message.role}: \${message.content}\`);
  if (message.type === "Warning" || message.type === "Error") console.log(\`\${message.type}: \${message.description}\`);
  if (message.type !== "FunctionCallRequest") return;
  for (const { id, name, arguments: given } of message.functions) {
    const content = answers[name] ?? '{"error": "unknown function"}';
    console.log(\`function: \${name}(\${given}) -> \${content}\`);
    agent.sendFunctionCallResponse({ type: "FunctionCallResponse", id, name, content });
  }
});
const next = (type, ms) => new Promise((resolve) => {
  waiting[type] = resolve;
  setTimeout(resolve, ms).unref();
});

agent.connect();
await agent.waitForOpen();
const ready = Promise.all([next("SettingsApplied", 30_000), settings.agent.greeting && next("AgentAudioDone", 5000)]);
agent.sendSettings(settings);
await ready;
const terminal = createInterface({ input: process.stdin, output: process.stdout });
process.stdout.write("> ");
for await (const content of terminal) {
  if (!content) break;
  const turn = next("AgentAudioDone", 60_000);
  agent.sendInjectUserMessage({ type: "InjectUserMessage", content });
  await turn;
  process.stdout.write("> ");
}
agent.close();
terminal.close();
`;
}

function ingredients(values, url) {
  const { mocks } = parseFunctions(values.functions);
  const at = new URL(CONVERSE, url);
  const prefix = url.pathname.endsWith(CONVERSE) ? url.pathname.slice(0, -CONVERSE.length) : url.pathname.replace(/\/openai$/, "");
  return {
    message: toMessage(values, { isOwn: isSparse(url) }),
    mocks: Object.fromEntries([...mocks].map(([name, mock]) => [name, asText(mock)])),
    host: `${at.protocol}//${at.host}${prefix}`,
  };
}

/** Write JSON for a raw string in triple quotes: its escapes stay JSON's, and it never has three quotes side by side. */
const pythonRaw = (value) => JSON.stringify(value, null, 2);
