import { countLosses, sessionRaces } from "@sojourn/test-fixtures";
import session, { type Store } from "express-session";
import { afterAll, describe, expect, test } from "vitest";
import { expressVersions, serve, setUp } from "./support.js";

/* The same requests go to express-session's own MemoryStore: the table says what happens there. */

const rounds = 10;
const outcomes: Record<string, string>[] = [];
afterAll(() => {
  console.table(outcomes);
});

describe.each(expressVersions)("%s", (version, express) => {
  test.each(sessionRaces)("$name", async (race) => {
    const lost = (store: Store): Promise<number> =>
      countLosses(
        race,
        async (actions) => {
          const app = await serve(express, store, actions);
          const end = app[Symbol.asyncDispose];
          return {
            url: app.url,
            async [Symbol.asyncDispose]() {
              await end();
              expect(app.errors).toEqual([]);
            },
          };
        },
        rounds,
      );
    const ours = setUp({ userId: ({ account }) => account });
    const theirs = await lost(new session.MemoryStore());
    const held = await lost(ours.store);
    outcomes.push({
      version,
      race: race.name,
      "express-session's MemoryStore": `${theirs}/${rounds}`,
      Sojourn: `${held}/${rounds}`,
    });
    // express-session only touches what a request has not changed.
    expect({ theirs, ours: held }).toEqual({ theirs: race.id === "read-logout" ? 0 : rounds, ours: 0 });
    await ours.store.manager.close();
  });
});
