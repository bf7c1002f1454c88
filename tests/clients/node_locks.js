// Locks from Node.js: redlock 4 over ioredis, all in scripts. Usage: node node_locks.js HOST PORT
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import Redlock from "redlock";
import { ioRedis } from "./connect.js";

const redis = ioRedis();
const locks = new Redlock([redis], { retryCount: 200, retryDelay: 20, retryJitter: 10 });
const key = `lock:${randomUUID()}`;
let inside = 0;
let count = 0;
async function worker() {
  for (let n = 0; n < 20; n++) {
    const lock = await locks.lock([key, `${key}:second`], 5000);
    inside += 1;
    assert.equal(inside, 1, "one at a time");
    const old = count;
    await redis.ping();
    count = old + 1;
    inside -= 1;
    await lock.extend(5000);
    await lock.unlock();
  }
}
await Promise.all([worker(), worker()]);
assert.equal(count, 40);
assert.equal(await redis.exists(key, `${key}:second`), 0);
const lock = await locks.lock(key, 60_000);
await redis.set(key, "somebody else's");
await assert.rejects(lock.extend(1000), "a lock that was lost cannot be extended");
await assert.rejects(lock.unlock(), "nor released");
assert.equal(await redis.get(key), "somebody else's");
await redis.del(key);
await redis.quit();
console.log("OK");
