/**
 * Measures the cost of encryption for a read and an update through the manager on the memory store, beside plain JSON, at three sizes.
 * Contestants take turns within each round; a ratio is the median of the rounds' ratios.
 *
 *     pnpm bench encryption [rounds]
 */
import { randomBytes } from "node:crypto";
import { encryptedCodec, jsonCodec, SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";

const sessions = 100;
const operations = 4_000;
const rounds = Number(process.argv[2] ?? 15);
const keys = [{ id: "bench", secret: randomBytes(32) }];
const codecs = {
  plain: () => jsonCodec,
  encrypted: () => encryptedCodec({ keys }),
  "compressed, encrypted": () => encryptedCodec({ keys, compress: true }),
};

const rows = {};
for (const bytes of [200, 1_000, 10_000]) {
  const contestants = Object.fromEntries(
    await Promise.all(Object.entries(codecs).map(async ([name, codec]) => [name, await open(codec(), bytes)])),
  );
  for (const operation of ["get", "update"]) {
    const times = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
    for (let round = -3; round < rounds; round += 1) {
      for (const [name, contestant] of Object.entries(contestants)) {
        const microseconds = await time(contestant[operation]);
        if (round >= 0) times[name].push(microseconds);
      }
    }
    rows[`${operation}, ${bytes} B`] = Object.fromEntries(
      Object.entries(times).flatMap(([name, values]) => [
        [`${name}, µs`, Math.round(median(values) * 10) / 10],
        ...(name === "plain"
          ? []
          : [[`${name}, ratio`, Math.round(median(values.map((v, i) => v / times.plain[i])) * 100) / 100]]),
      ]),
    );
  }
}
console.table(rows);
console.log(JSON.stringify({ node: process.version, rounds, rows }));

async function open(codec, bytes) {
  const manager = new SessionManager({ store: new MemoryStore(), codec });
  const created = await Promise.all(
    Array.from({ length: sessions }, (_, n) => manager.create({ userId: `user-${n}`, data: dataOf(n, bytes) })),
  );
  return {
    get: (n) => manager.get(created[n % sessions].token),
    update: (n) => created[n % sessions].session.update((data) => ({ ...data, visits: n })),
  };
}

/** Keys and short values, as sessions hold them, whose JSON is about so long. */
function dataOf(n, bytes) {
  const data = { visits: 0, locale: "en-GB", csrf: randomBytes(18).toString("base64url") };
  for (let item = 0; JSON.stringify(data).length < bytes - 40; item += 1) {
    data[`item${item}`] = { sku: `sku-${n}-${item}`, count: item, gift: item % 2 === 0 };
  }
  return data;
}

async function time(operation) {
  const begin = process.hrtime.bigint();
  for (let n = 0; n < operations; n += 1) await operation(n);
  return Number(process.hrtime.bigint() - begin) / operations / 1_000;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
