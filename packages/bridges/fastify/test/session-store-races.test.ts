import fastifySession from "@fastify/session";
import { countLosses, type SessionRace, sessionRaces } from "@sojourn/test-fixtures";
import { afterAll, describe, expect, test } from "vitest";
import { serve, setUp } from "./session-store-support.js";

/* The same requests go to the memory store of @fastify/session: the table says what happens there. */

const rounds = 10;

/** What only @fastify/session does: it goes on with an empty session of the same id. */
const reloadAfterLogout: SessionRace = {
  id: "reload-logout",
  name: "a slow request reloads and changes data, logout in between: the old id works again",
  actions: {
    slow: async (request) => {
      await new Promise((done) => void request.session.reload(done));
      Object.assign(request.session, { late: 1 });
    },
    logout: ({ session }) => new Promise((done) => void session.destroy(done)),
  },
  async play({ browser, hold, look }) {
    const finish = await hold("slow");
    await browser.get("logout");
    await finish();
    return (await look()).late !== undefined;
  },
};

const outcomes: Record<string, unknown>[] = [];
afterAll(() => {
  console.table(outcomes);
});

describe.each([true, false])("rolling: %s", (rolling) => {
  test.each([...sessionRaces, reloadAfterLogout])("$name", async (race) => {
    const lost = (store: Parameters<typeof serve>[0]): Promise<number> =>
      countLosses(
        race,
        async (actions) => {
          const app = await serve(store, actions, { rolling });
          return {
            url: app.url,
            async [Symbol.asyncDispose]() {
              await app[Symbol.asyncDispose]();
              expect(app.errors).toEqual([]);
            },
          };
        },
        rounds,
      );
    const ours = setUp({ userId: ({ account }) => account });
    const theirs = await lost(new fastifySession.MemoryStore());
    const held = await lost(ours.store);
    outcomes.push({
      rolling,
      race: race.name,
      "@fastify/session's MemoryStore": `${theirs}/${rounds}`,
      Sojourn: `${held}/${rounds}`,
    });
    // Without `rolling` it does not save what a request has not changed.
    expect({ theirs, ours: held }).toEqual({ theirs: race.id === "read-logout" && !rolling ? 0 : rounds, ours: 0 });
    await ours.store.manager.close();
  });
});
