// node-redis with its defaults. Usage: node node_redis.js HOST PORT
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { nodeRedis } from "./connect.js";

const client = await nodeRedis();

const key = `node:${randomUUID()}`;
assert.equal(await client.ping(), "PONG");
assert.equal(await client.set(key, "value"), "OK");
assert.equal(await client.get(key), "value");
assert.equal(await client.set(key, "second", { expiration: { type: "EX", value: 60 }, GET: true }), "value");
const ttl = await client.ttl(key);
assert.ok(ttl > 0 && ttl <= 60, `ttl ${ttl}`);
assert.equal(await client.expire(key, 600), 1);
assert.equal(await client.set(key, "third", { condition: "NX" }), null);
assert.equal(await client.exists([key, `${key}:other`]), 1);
assert.deepEqual(await client.mGet([key, `${key}:other`]), ["second", null]);

const done = await client.multi().set(key, "4").expire(key, 30).get(key).del(key).get(key).exec();
assert.deepEqual(done, ["OK", 1, "4", 1, null]);

await Promise.all(Array.from({ length: 1000 }, (_, n) => client.set(`${key}:${n}`, `${n}`, { PX: 60_000 })));
const found = new Set();
for await (const keys of client.scanIterator({ MATCH: `${key}:*`, COUNT: 100 })) keys.forEach((k) => found.add(k));
assert.equal(found.size, 1000);
assert.equal(await client.del([...found]), 1000);
assert.equal(await client.del(key), 0);

const subscriber = client.duplicate();
await subscriber.connect();
const heard = new Promise((resolve) => subscriber.subscribe(key, resolve).then(() => client.publish(key, "hello")));
assert.equal(await heard, "hello");
await subscriber.close();
await client.close();
console.log("OK");
