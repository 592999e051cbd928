import { Authenticator, Strategy } from "@fastify/passport";
import { Barrier } from "@sojourn/test-fixtures";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { describe, expect, test } from "vitest";
import type { EagerSession } from "../src/index.js";
import { Browser, type Data, type Fixture, serve } from "./support.js";

/* @fastify/passport calls request.session.get, set and regenerate, and reads the own keys of request.session. */

/** Authenticates the user that the query names. */
class QueryStrategy extends Strategy {
  override authenticate(request: FastifyRequest): void {
    const { user } = request.query as { user?: string };
    if (user === undefined) this.fail("no user", 401);
    else this.success({ name: user });
  }
}

type Held = Data & { passport: unknown };
const sessionOf = (request: FastifyRequest): EagerSession<Held> => request.getDecorator("session");

interface Shop extends Fixture {
  /** Holds the slow request. */
  readonly barrier: Barrier;
}

async function shop(options: ConstructorParameters<typeof Authenticator>[0] = {}): Promise<Shop> {
  const barrier = new Barrier();
  const routes = (app: FastifyInstance): void => {
    const passport = new Authenticator(options);
    passport.use("query", new QueryStrategy("query"));
    passport.registerUserSerializer(async (user: { name: string }) => user.name);
    passport.registerUserDeserializer(async (name: string) => ({ name }));
    app.register(passport.initialize());
    app.register(passport.secureSession());
    app.register(async (scope) => {
      const login = async (request: FastifyRequest) => {
        // Gives the session to its user, for lists and for "log out everywhere".
        const { name } = request.user as { name: string };
        await sessionOf(request).regenerate({ userId: name, authenticated: true });
        return name;
      };
      scope.get("/login", { preValidation: passport.authenticate("query") }, login);
      scope.get("/login-keeping", { preValidation: passport.authenticate("query", { keepSessionInfo: true }) }, login);
      scope.get("/me", (request) => {
        const { name } = (request.user ?? {}) as { name?: string };
        return { name, userId: sessionOf(request).userId, cart: sessionOf(request).data.cart };
      });
      scope.get("/add", (request) => {
        const { data } = sessionOf(request);
        data.cart = [...(data.cart ?? []), "book"];
        return data.cart.length;
      });
      scope.get("/slow-add", async (request) => {
        sessionOf(request).data.cart = ["late"];
        await barrier.wait();
        return "done";
      });
      scope.get("/logout", async (request) => {
        await request.logout();
        return "bye";
      });
      scope.get("/logout-everywhere", async (request) => {
        await sessionOf(request).destroyOthers();
        await sessionOf(request).destroy();
        return "bye";
      });
      scope.get("/flash", (request) => request.flash("info", "saved"));
      scope.get("/flashed", (_request, reply) => reply.flash("info"));
    });
  };
  return { ...(await serve({}, { plugin: { eager: true }, routes })), barrier };
}

describe("@fastify/passport with eager: true", () => {
  test("logs in, recognises the user, and logs out; the session's data is dropped", async () => {
    const app = await shop();
    const browser = new Browser(app);
    expect(await browser.get("me")).toMatchObject({ status: 200, body: {}, setCookie: [] });
    expect((await browser.get("login")).status).toBe(401);
    expect(await browser.body("login?user=ann")).toBe("ann");
    await browser.get("add");
    expect(await browser.body("me")).toEqual({ name: "ann", userId: "ann", cart: ["book"] });
    const before = browser.clone();
    expect(await browser.body("logout")).toBe("bye");
    expect(await browser.body("me")).toEqual({});
    expect(await before.body("me")).toEqual({});
    expect(await app.manager.listByUser("ann")).toEqual([]);
  });

  test("gives the session a new token at the login: a token set by an attacker stays anonymous", async () => {
    const app = await shop();
    const victim = new Browser(app);
    await victim.get("add");
    const attacker = victim.clone();
    await victim.get("login?user=ann");
    expect(await victim.body("me")).toMatchObject({ name: "ann" });
    expect(await attacker.body("me")).toEqual({});
    expect(await attacker.body("add")).toBe(1);
  });

  test.each([
    ["is dropped at the login by default", {}, "login", undefined],
    ["is kept by keepSessionInfo", {}, "login-keeping", ["book"]],
    ["is kept by clearSessionIgnoreFields", { clearSessionIgnoreFields: ["cart"] }, "login", ["book"]],
  ])("the cart %s", async (_title, options, login, cart) => {
    const browser = new Browser(await shop(options));
    await browser.get("add");
    await browser.get(`${login}?user=ann`);
    expect(await browser.body("me")).toEqual({ name: "ann", userId: "ann", cart });
  });

  test("the login of another user on the session takes nothing over", async () => {
    const app = await shop();
    const browser = new Browser(app);
    await browser.get("login?user=ann");
    await browser.get("add");
    await browser.get("login?user=bob");
    expect(await browser.body("me")).toEqual({ name: "bob", userId: "bob" });
    expect(await app.manager.listByUser("ann")).toEqual([]);
  });

  test("a slow request does not undo a logout", async () => {
    const app = await shop();
    const browser = new Browser(app);
    await browser.get("login?user=ann");
    const slow = browser.clone();
    const answer = slow.get("slow-add");
    await app.barrier.arrived;
    await browser.get("logout");
    app.barrier.release();
    expect((await answer).status).toBe(200);
    expect(await slow.body("me")).toEqual({});
    expect(await browser.body("me")).toEqual({});
    expect(await app.manager.listByUser("ann")).toEqual([]);
  });

  test("logs out everywhere", async () => {
    const app = await shop();
    const browsers = [new Browser(app), new Browser(app), new Browser(app)] as const;
    for (const browser of browsers) await browser.get("login?user=ann");
    await browsers[0].get("logout-everywhere");
    for (const browser of browsers) expect(await browser.body("me")).toEqual({});
  });

  test("ten logins at once of one browser all succeed, and one session has its data", async () => {
    const app = await shop({ clearSessionIgnoreFields: ["cart"] });
    const browser = new Browser(app);
    await browser.get("add");
    const tabs = Array.from({ length: 10 }, () => browser.clone());
    const answers = await Promise.all(tabs.map((tab) => tab.get("login?user=ann")));
    expect(answers.map(({ status }) => status)).toEqual(new Array(10).fill(200));
    const seen = (await Promise.all(tabs.map((tab) => tab.body("me")))) as { name: string; cart?: string[] }[];
    expect(seen.map(({ name }) => name)).toEqual(new Array(10).fill("ann"));
    expect(seen.filter(({ cart }) => cart !== undefined)).toHaveLength(1);
    expect(await browser.body("me")).toEqual({});
    expect(await app.manager.listByUser("ann")).toHaveLength(10);
  });

  test("has flash messages, which the next request reads once", async () => {
    const browser = new Browser(await shop());
    expect(await browser.body("flash")).toBe(1);
    expect(await browser.body("flashed")).toEqual(["saved"]);
    expect(await browser.body("flashed")).toEqual([]);
  });
});
