// node clients/node.js CA SCRIPT: runs one session with node's `ws` and prints what it was told, as JSON.
"use strict";

const fs = require("fs");
const WebSocket = require("ws");
const {runSession} = require("./session.js");

const [ca, script] = process.argv.slice(2);
runSession(WebSocket, JSON.parse(script), {ca: fs.readFileSync(ca), perMessageDeflate: false}).then((told) => {
  console.log(JSON.stringify(told));
  process.exit(0);
});
