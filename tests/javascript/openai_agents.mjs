// OpenAI's Agents SDK for JavaScript on a router: asks each question, and prints the events that it gets.
// Arguments: the folder with the SDK, the address, and the texts. It ends when the last one is answered.
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, address, ...texts] = process.argv.slice(2);
const require = createRequire(join(folder, "package.json"));
const { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket, tool } = require("@openai/agents-realtime");

const show = (event) => console.log(JSON.stringify(event));
const weather = tool({
  name: "get_weather",
  description: "Tell the weather",
  parameters: { type: "object", properties: {}, required: [], additionalProperties: true },
  strict: false,
  execute: async () => {
    show({ type: "called" });
    return "It is sunny in Paris.";
  },
});
const agent = new RealtimeAgent({ name: "guide", instructions: "Be brief.", tools: [weather] });
const transport = new OpenAIRealtimeWebSocket({ url: `ws://${address}/v1/realtime?model=gpt-realtime` });
const session = new RealtimeSession(agent, { transport });

session.on("error", (error) => show({ type: "failed", message: JSON.stringify(error.error ?? String(error)) }));
transport.on("*", (event) => {
  if (event.event_id === undefined) return; // the SDK's own
  show(event);
  const isWhole = event.type === "response.done" && event.response.status === "completed";
  if (!isWhole || !event.response.output.some((item) => item.type === "message")) return;
  if (texts.length > 0) setTimeout(() => session.sendMessage(texts.shift()), 50);
  else {
    setTimeout(() => {
      show({ type: "history", items: session.history });
      session.close();
      process.exit(0);
    }, 100);
  }
});
await session.connect({ apiKey: "sk-of-the-client-0123456789" });
session.sendMessage(texts.shift());
