// @fastify/session over connect-redis: log in, be recognised, update, regenerate, log out, be unknown; two
// requests that race. Usage: node fastify_session.js HOST PORT
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import cookie from "@fastify/cookie";
import session from "@fastify/session";
import { RedisStore } from "connect-redis";
import Fastify from "fastify";
import { nodeRedis } from "./connect.js";

const client = await nodeRedis();

const store = new RedisStore({ client, prefix: `sess:${randomUUID()}:`, ttl: 600 });
const app = Fastify();
await app.register(cookie);
await app.register(session, {
  store,
  secret: "only for this test, and long enough",
  cookie: { secure: false, maxAge: 600_000 },
  saveUninitialized: false,
});
app.post("/login", async (request) => {
  await request.session.regenerate();
  request.session.set("user", "ada");
  return { user: "ada" };
});
app.get("/me", async (request) => ({ user: request.session.get("user") ?? null, seen: request.session.get("seen") ?? 0 }));
app.post("/seen", async (request) => {
  request.session.set("seen", (request.session.get("seen") ?? 0) + 1);
  return {};
});
app.post("/logout", async (request) => {
  await request.session.destroy();
  return {};
});

let jar = {};
async function call(method, url) {
  const reply = await app.inject({ method, url, cookies: jar });
  assert.equal(reply.statusCode, 200, `${method} ${url}: ${reply.body}`);
  for (const { name, value } of reply.cookies) jar[name] = value;
  return reply.json();
}

assert.deepEqual(await call("GET", "/me"), { user: null, seen: 0 });
assert.deepEqual(await call("POST", "/login"), { user: "ada" });
assert.equal((await store.ids()).length, 1);
const first = (await store.ids())[0];
await call("POST", "/seen");
assert.deepEqual(await call("GET", "/me"), { user: "ada", seen: 1 });
await call("POST", "/login");
const ids = await store.ids();
assert.ok(ids.length === 1 && ids[0] !== first, `a new login takes a new id: ${ids.length} left`);
await Promise.all([call("POST", "/seen"), call("POST", "/seen")]);
const { seen } = await call("GET", "/me");
assert.ok(seen >= 1 && seen <= 2, `the later of two requests wins: ${seen}`);
await call("POST", "/logout");
assert.deepEqual(await store.ids(), []);
jar = {};
assert.deepEqual(await call("GET", "/me"), { user: null, seen: 0 });
await app.close();
await client.close();
console.log("OK");
