// Wires the page: every WebSocket goes to where the page came from.

import { Bulk } from "./bulk.js";
import { Console } from "./console.js";
import { Ends } from "./ends.js";
import { Latency } from "./latency.js";

const base = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}`;

new Console(base).open("Hello through the gateway");
new Latency(base);
new Bulk(base);
new Ends(base);
