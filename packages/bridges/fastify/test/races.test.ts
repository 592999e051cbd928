import { Barrier } from "@sojourn/test-fixtures";
import { describe, expect, test } from "vitest";
import { type Action, Browser, type Fixture, serve } from "./support.js";

/** Runs a request that waits in its handler while `meanwhile` happens, in another window of the same browser. */
async function during(
  late: Action,
  meanwhile: Action,
): Promise<{ readonly app: Fixture; readonly browser: Browser; readonly answer: Awaited<ReturnType<Browser["get"]>> }> {
  const barrier = new Barrier();
  const app = await serve({
    begin: async (session) => {
      session.data.cart = ["book"];
      await session.regenerate({ userId: "ann" });
    },
    late: async (...args) => {
      await barrier.wait();
      return late(...args);
    },
    meanwhile,
    read: (session) => [session.userId ?? null, session.data],
  });
  const browser = new Browser(app);
  await browser.get("begin");
  const slow = browser.clone();
  const answer = slow.get("late");
  await barrier.arrived;
  await browser.get("meanwhile");
  barrier.release();
  return { app, browser: slow, answer: await answer };
}

test("a request that ends after the logout does not log the user in again", async () => {
  const { app, browser, answer } = await during(
    (session) => {
      session.data.name = "late";
    },
    (session) => session.destroy(),
  );
  expect(answer).toMatchObject({ status: 200, setCookie: [] });
  expect(await browser.body("read")).toEqual([null, {}]);
  expect(app.conflicts).toEqual(["ended"]);
  expect(await app.manager.listByUser("ann")).toEqual([]);
});

test("a request without changes that ends after the logout does not log the user in again", async () => {
  const { app, browser } = await during(
    (session) => session.data,
    (session) => session.destroy(),
  );
  expect(await browser.body("read")).toEqual([null, {}]);
  expect(app.calls.filter((call) => call === "create" || call === "update")).toEqual(["create"]);
});

test("save, update and reload after the logout return false", async () => {
  const late: Action = async (session) => {
    session.data.name = "late";
    return [await session.save(), session.hasEnded, await session.update((data) => data), await session.reload()];
  };
  const { browser, answer } = await during(late, (session) => session.destroy());
  expect(answer.body).toEqual([false, true, false, false]);
  expect(await browser.body("read")).toEqual([null, {}]);
});

test("two requests that set different keys lose nothing", async () => {
  const { browser } = await during(
    (session) => {
      session.data.name = "late";
    },
    (session) => {
      session.data.views = 1;
    },
  );
  expect(await browser.body("read")).toEqual(["ann", { cart: ["book"], name: "late", views: 1 }]);
});

test("a request that ends after a regenerate of another one changes nothing, and removes no cookie", async () => {
  const { app, answer } = await during(
    (session) => {
      session.data.name = "late";
    },
    (session) => session.regenerate(),
  );
  expect(answer.setCookie).toEqual([]);
  const [session] = await app.manager.listByUser("ann");
  expect(session?.data).toEqual({ cart: ["book"] });
});

test("two simultaneous logins of one browser both succeed", async () => {
  const app = await serve({
    begin: (session) => {
      session.data.cart = ["book"];
    },
    login: (session) => session.regenerate({ userId: "ann" }),
    who: (session) => session.userId ?? null,
  });
  const browser = new Browser(app);
  await browser.get("begin");
  const windows = [browser.clone(), browser.clone()];
  expect(await Promise.all(windows.map((window) => window.body("login")))).toEqual([true, true]);
  expect(await Promise.all(windows.map((window) => window.body("who")))).toEqual(["ann", "ann"]);
});

test("a session that belongs to another user by then is not written", async () => {
  const { app, answer } = await during(
    (session) => {
      session.data.name = "late";
    },
    async (session) => {
      // Not by regenerate, whose old token is dead: by the manager, as an impersonation would.
      await session.stored?.update((data) => data, { userId: "bob" });
    },
  );
  expect(answer.status).toBe(200);
  expect(app.conflicts).toEqual(["changedUser"]);
  expect((await app.manager.listByUser("bob"))[0]?.data).toEqual({ cart: ["book"] });
});

describe("data that was saved once is not written again over later changes of other requests", () => {
  test.each([
    ["update", (session: Parameters<Action>[0]) => session.update((data) => ({ ...data, name: "later" }))],
    ["regenerate", (session: Parameters<Action>[0]) => session.regenerate({ keep: ["cart", "views", "flash"] })],
  ])("by %s", async (_name, write) => {
    const barrier = new Barrier();
    const app = await serve({
      begin: (session) => {
        session.data.cart = ["book"];
      },
      late: async (session) => {
        session.data.views = 1;
        session.data.flash = { info: ["ours"] };
        await session.save();
        await barrier.wait();
        await write(session);
        return session.data;
      },
      other: (session) => {
        session.data.cart = ["book", "pen"];
        session.data.flash = { info: ["theirs"] };
      },
    });
    const browser = new Browser(app);
    await browser.get("begin");
    const late = browser.clone().body("late");
    await barrier.arrived;
    await browser.get("other");
    barrier.release();
    expect(await late).toMatchObject({ cart: ["book", "pen"], views: 1, flash: { info: ["theirs"] } });
  });
});

test("a reload keeps its order among the writes of its request", async () => {
  const app = await serve({
    begin: (session) => {
      session.data.name = "Ann";
    },
    both: async (session) => {
      const reloaded = session.reload();
      const regenerated = session.regenerate({ userId: "ann" });
      return [await reloaded, await regenerated, session.userId];
    },
    end: async (session) => {
      const reloaded = session.reload();
      const destroyed = session.destroy();
      return [await reloaded, await destroyed, session.hasEnded, session.id, session.data];
    },
    read: (session) => [session.userId ?? null, session.data],
  });
  const browser = new Browser(app);
  await browser.get("begin");
  expect(await browser.body("both")).toEqual([true, true, "ann"]);
  expect(await browser.body("read")).toEqual(["ann", { name: "Ann" }]);
  expect(await browser.body("end")).toEqual([true, true, true, null, {}]);
});

test.each([
  ["regenerate", (session: Parameters<Action>[0]) => session.regenerate({ userId: "ann" })],
  ["update", (session: Parameters<Action>[0]) => session.update((data) => data)],
  ["save", (session: Parameters<Action>[0]) => session.save()],
])("a value that the request assigned may be mutated while a %s runs, and after it", async (_name, write) => {
  const app = await serve({
    add: async (session) => {
      const cart = ["book"];
      session.data.cart = cart;
      const written = write(session);
      cart.push("pen");
      await written;
      cart.push("ink");
    },
    read: (session) => session.data,
  });
  const browser = new Browser(app);
  for (const visit of ["of a new session", "of a stored one"]) {
    await browser.get("add");
    expect(await browser.body("read"), visit).toEqual({ cart: ["book", "pen", "ink"] });
  }
});
