// express-session over connect-redis: log in, be recognised, log out, be unknown.
// Usage: node express_session.js HOST PORT
import assert from "node:assert/strict";
import { once } from "node:events";
import { randomUUID } from "node:crypto";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { nodeRedis } from "./connect.js";

const client = await nodeRedis();

const prefix = `sess:${randomUUID()}:`;
const app = express();
const store = new RedisStore({ client, prefix, ttl: 600 });
app.use(session({ store, secret: "only for this test", resave: false, saveUninitialized: false }));
app.post("/login", (req, res, next) =>
  req.session.regenerate((error) => {
    if (error) return next(error);
    req.session.user = "ada";
    res.json({ user: "ada" });
  }));
app.get("/me", (req, res) => res.json({ user: req.session.user ?? null }));
app.post("/logout", (req, res, next) => req.session.destroy((error) => (error ? next(error) : res.json({}))));
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const base = `http://127.0.0.1:${server.address().port}`;

let cookie = "";
async function call(method, path) {
  const reply = await fetch(base + path, { method, headers: cookie ? { cookie } : {} });
  assert.equal(reply.status, 200, `${method} ${path}: ${await reply.clone().text()}`);
  const set = reply.headers.getSetCookie()[0];
  if (set) cookie = set.split(";")[0];
  return reply.json();
}

assert.deepEqual(await call("GET", "/me"), { user: null });
assert.deepEqual(await call("POST", "/login"), { user: "ada" });
assert.equal((await store.ids()).length, 1);
assert.deepEqual(await call("GET", "/me"), { user: "ada" });
assert.equal(await client.expire(prefix + (await store.ids())[0], 100), 1);
assert.deepEqual(await call("GET", "/me"), { user: "ada" });
const ttl = await client.ttl(prefix + (await store.ids())[0]);
assert.ok(ttl > 100, `an unchanged request must renew the session's life; it is ${ttl} s`);
await call("POST", "/logout");
assert.deepEqual(await store.ids(), []);
assert.deepEqual(await call("GET", "/me"), { user: null });

server.close();
server.closeAllConnections();
await client.close();
console.log("OK");
