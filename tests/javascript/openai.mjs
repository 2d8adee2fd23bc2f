// OpenAI's SDK for Node on a router: sends the events that it reads, and prints those that it gets.
// Arguments: the folder with the SDK, and the base URL. The end of the input closes the connection.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const [folder, baseURL] = process.argv.slice(2);
const require = createRequire(join(folder, "package.json"));
const { OpenAI } = require("openai");
const { OpenAIRealtimeWS } = require("openai/realtime/ws");

const show = (event) => console.log(JSON.stringify(event));
const client = new OpenAI({ apiKey: "sk-of-the-client-0123456789", baseURL });
const connection = new OpenAIRealtimeWS({ model: "gpt-realtime" }, client);

connection.on("event", show);
connection.on("error", (error) => {
  if (!error.error) show({ type: "failed", message: String(error) });
});
connection.socket.on("close", (code) => {
  show({ type: "closed", code });
  process.exit(0);
});
connection.socket.on("open", () => {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => connection.send(JSON.parse(line)));
  lines.on("close", () => connection.close());
});
