// What the scripts for Node share: where the server is, and a client that never tries twice.
import { Redis } from "ioredis";
import { createClient } from "redis";

const [host, text] = process.argv.slice(2);
const port = Number(text);

function strict(client) {
  client.on("error", (error) => {
    console.error(error);
    process.exit(1);
  });
  return client;
}

export async function nodeRedis() {
  const client = strict(createClient({ socket: { host, port, reconnectStrategy: false } }));
  await client.connect();
  return client;
}

export function ioRedis() {
  return strict(new Redis({ host, port, retryStrategy: null }));
}
