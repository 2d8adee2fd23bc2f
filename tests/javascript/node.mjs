// node node.mjs <folder with node_modules> <control URL>
import { createRequire } from "node:module";

import { drive } from "./driver.mjs";

const [, , folder, url] = process.argv;
const require = createRequire(`${folder}/`);
const { DeepgramClient } = require("@deepgram/sdk");
const { WebSocket } = require("ws"); // the SDK's own

const control = new WebSocket(url);
control.onopen = () => drive(DeepgramClient, control);
control.onclose = () => process.exit(0);
