// ioredis with its defaults. Usage: node ioredis.js HOST PORT
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { ioRedis } from "./connect.js";

const client = ioRedis();

const key = `ioredis:${randomUUID()}`;
assert.equal(await client.ping(), "PONG");
assert.equal(await client.set(key, Buffer.from([0, 255, 13, 10])), "OK");
assert.deepEqual(await client.getBuffer(key), Buffer.from([0, 255, 13, 10]));
assert.equal(await client.set(key, "second", "EX", 60), "OK");
const ttl = await client.ttl(key);
assert.ok(ttl > 0 && ttl <= 60, `ttl ${ttl}`);
assert.equal(await client.expire(key, 600), 1);
assert.equal(await client.set(key, "third", "NX"), null);
assert.equal(await client.set(key, "third", "XX", "GET"), "second");
assert.deepEqual(await client.mget(key, `${key}:other`), ["third", null]);

const done = await client.multi().set(key, "4").expire(key, 30).get(key).del(key).get(key).exec();
assert.deepEqual(done, [[null, "OK"], [null, 1], [null, "4"], [null, 1], [null, null]]);

const pipeline = client.pipeline();
for (let n = 0; n < 1000; n++) pipeline.set(`${key}:${n}`, n, "PX", 60_000);
assert.ok((await pipeline.exec()).every(([error, reply]) => error === null && reply === "OK"));
const found = new Set();
for await (const keys of client.scanStream({ match: `${key}:*`, count: 100 })) keys.forEach((k) => found.add(k));
assert.equal(found.size, 1000);
assert.equal(await client.unlink(...found), 1000);

const subscriber = client.duplicate();
const heard = new Promise((resolve) => subscriber.on("message", (_, message) => resolve(message)));
assert.equal(await subscriber.subscribe(key), 1);
await client.publish(key, "hello");
assert.equal(await heard, "hello");
subscriber.disconnect();
client.disconnect();
console.log("OK");
