/**
 * Measures the CPU time that a request spends on its session data, at two sizes: it opens the session by its token, uses the data,
 * and ends. In memory, through the room of the bridges, without a framework. Uses take turns within each round; figures are medians.
 *
 *     pnpm bench drafts [rounds]
 *
 * For a comparison, run it in the trees of two releases in turn. A release whose values are frozen replaces the array.
 */
import { HttpSessions } from "@sojourn/core/bridge";
import { MemoryStore } from "@sojourn/memory";

const operations = 2_000;
const rounds = Number(process.argv[2] ?? 15);

const framework = {
  packageName: "bench",
  header: ({ headers }, name) => headers[name],
  ip: () => undefined,
  setHeader: () => {},
  responseHeader: () => undefined,
  isHeadSent: () => false,
};

const uses = {
  "reads nothing": () => {},
  "reads a primitive": ({ data }) => data.visits,
  "reads a small object": ({ data }) => data.user.name,
  "reads the large array": ({ data }) => data.items.length,
  "reads the large array, stored.data": ({ stored }) => stored.data.items.length,
  "pushes to the large array": ({ data }, n) => {
    const item = { sku: `new-${n}`, count: 1, gift: false };
    if (Object.isFrozen(data.items)) data.items = [...data.items.slice(1), item];
    else {
      data.items.shift();
      data.items.push(item);
    }
  },
};

const rows = {};
for (const bytes of [1_000, 10_000]) {
  const { sessions, request, response } = await open(bytes);
  const times = Object.fromEntries(Object.keys(uses).map((name) => [name, []]));
  for (let round = -3; round < rounds; round += 1) {
    for (const [name, use] of Object.entries(uses)) {
      const begin = process.cpuUsage();
      for (let n = 0; n < operations; n += 1) {
        const session = await sessions.open(request);
        use(session, n);
        await session.finish(response);
      }
      const { user, system } = process.cpuUsage(begin);
      if (round >= 0) times[name].push((user + system) / operations);
    }
  }
  for (const [name, values] of Object.entries(times)) {
    rows[name] = { ...rows[name], [`${bytes / 1_000} KB, µs`]: Math.round(median(values) * 10) / 10 };
  }
}
console.table(rows);
console.log(JSON.stringify({ node: process.version, rounds, rows }));

async function open(bytes) {
  const sessions = new HttpSessions(framework, { store: new MemoryStore(), sweep: false, header: "x-session" });
  const headers = {};
  const keeping = new HttpSessions(
    { ...framework, setHeader: (_response, name, value) => Object.assign(headers, { [name]: value }) },
    { manager: sessions.manager, header: "x-session" },
  );
  const session = keeping.openNew({ headers });
  Object.assign(session.data, dataOf(bytes));
  await session.finish({});
  return { sessions, request: { headers }, response: {} };
}

/** A session whose JSON is about so long, most of it in one array. */
function dataOf(bytes) {
  const data = { visits: 1, user: { name: "Ann", roles: ["admin"] }, items: [] };
  while (JSON.stringify(data).length < bytes - 40) {
    data.items.push({ sku: `sku-${data.items.length}`, count: data.items.length, gift: false });
  }
  return data;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
