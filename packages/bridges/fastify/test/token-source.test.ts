import { describe, expect, test } from "vitest";
import { type Action, Browser, type Fixture, serve } from "./support.js";

const count: Action = (session) => {
  session.data.views = (session.data.views ?? 0) + 1;
  return session.data.views;
};
const read: Action = (session) => session.data;

/** Everything that a request can carry, with the token in all of it but in what is left out. */
async function presents(app: Fixture, token: string, headers: Record<string, string> = {}): Promise<unknown> {
  const query = new URLSearchParams({ session: token, token, sid: token, "__Host-session": token });
  const response = await fetch(`${app.url}/read?${query}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ session: token, token, sid: token, "__Host-session": token }),
  });
  return response.json();
}

describe("a token is accepted from one place only", () => {
  test("the cookie, and not the URL, the body or a header", async () => {
    const app = await serve({ count, read });
    const browser = new Browser(app);
    await browser.get("count");
    const value = browser.cookie.slice(browser.cookie.indexOf("=") + 1);
    const elsewhere = (token: string): Record<string, string> => ({
      authorization: `Bearer ${token}`,
      "session-token": token,
      "x-session": token,
      "__host-session": token,
    });
    for (const token of [value, value.slice(0, 43)]) expect(await presents(app, token, elsewhere(token))).toEqual({});
    expect(await presents(app, "", { cookie: browser.cookie })).toEqual({ views: 1 });
  });

  test("the configured header, and not a cookie, the URL or the body", async () => {
    const app = await serve({ read }, { plugin: { header: "authorization", secret: undefined } });
    const { token } = await app.manager.create({ data: { cart: [], views: 1, name: "", flash: {} } });
    const cookie = `__Host-session=${token}; session=${token}; authorization=Bearer ${token}`;
    expect(await presents(app, token, { cookie, "session-token": token })).toEqual({});
    expect(await presents(app, "", { authorization: `Bearer ${token}` })).toMatchObject({ views: 1 });
  });
});
