// One session of a WebSocket client, by a script: the same code in Chromium and under node's `ws`.
//
// script: {url, subprotocols, relay: bytes to send and to get back, say: a text to send as bytes, text: a text
// message to send, close: {code, reason}}. Answers what the client was told; `intact` says whether byte i of
// what came was i % 251.
"use strict";

const PERIOD = 251; // a prime, so that a displaced block shows
const CHUNK = 64 * 1024;

function pattern(start, count) {
  const bytes = new Uint8Array(count);
  for (let i = 0; i < count; i++) bytes[i] = (start + i) % PERIOD;
  return bytes;
}

function runSession(Socket, script, options) {
  return new Promise((resolve) => {
    const told = {opened: false, subprotocol: null, received: 0, intact: true, text: "", status: null};
    const socket = options
      ? new Socket(script.url, script.subprotocols || [], options)
      : new Socket(script.url, script.subprotocols || []);
    const finish = () => script.close && socket.close(script.close.code, script.close.reason);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      told.opened = true;
      told.subprotocol = socket.protocol;
      for (let sent = 0; sent < (script.relay || 0); sent += CHUNK)
        socket.send(pattern(sent, Math.min(CHUNK, script.relay - sent)));
      if (script.say) socket.send(new TextEncoder().encode(script.say));
      if (script.text) socket.send(script.text);
      if (!script.relay) finish();
    };
    socket.onmessage = (event) => {
      const bytes = new Uint8Array(event.data);
      for (let i = 0; i < bytes.length; i++)
        if (bytes[i] !== (told.received + i) % PERIOD) told.intact = false;
      if (told.received < 64) told.text += new TextDecoder().decode(bytes.subarray(0, 64));
      told.received += bytes.length;
      if (script.relay && told.received === script.relay) finish();
    };
    socket.onerror = () => {}; // `onclose` follows
    socket.onclose = (event) => {
      if (told.status === null) resolve({...told, code: event.code, reason: event.reason, clean: event.wasClean});
    };
    if (options) // node's `ws` alone shows what came in place of 101
      socket.on("unexpected-response", (request, response) => {
        told.status = response.statusCode;
        response.setEncoding("utf8");
        let body = "";
        response.on("data", (text) => (body += text));
        response.on("end", () => resolve({...told, body, headers: response.headers}));
      });
  });
}

if (typeof module !== "undefined") module.exports = {runSession};
