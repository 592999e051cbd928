import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { MemoryStore } from "@sojourn/memory";
import { parseSetCookie } from "cookie";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SessionCookie, type SessionCookieOptions } from "../src/bridge/index.js";
import { isSessionError, SessionManager } from "../src/index.js";
import { generateToken } from "../src/sessions/tokens.js";

const secret = "a secret of more than thirty-two bytes";
const older = "an older secret of more than 32 bytes!";
const session = { remainingMs: 1_000, expiresAt: 5_000, endsAt: 91_500 };

const cookie = new SessionCookie({ secret });
const token = generateToken();
const issued = cookie.issue({ token, session });
/** As browsers send it back. */
const pair = `${issued.name}=${issued.value}`;

describe("the cookie sent", () => {
  test.each<[string, Partial<SessionCookieOptions>, string]>([
    ["by default", {}, "__Host-session=*; Path=/; HttpOnly; Secure; SameSite=Lax"],
    ["without TLS", { secure: false }, "session=*; Path=/; HttpOnly; SameSite=Lax"],
    ["for a path", { path: "/app" }, "__Secure-session=*; Path=/app; HttpOnly; Secure; SameSite=Lax"],
    [
      "for subdomains",
      { domain: "example.org" },
      "__Secure-session=*; Domain=example.org; Path=/; HttpOnly; Secure; SameSite=Lax",
    ],
    ["under a name", { name: "sid", sameSite: "strict" }, "sid=*; Path=/; HttpOnly; Secure; SameSite=Strict"],
    [
      "embedded",
      { sameSite: "none", partitioned: true },
      "__Host-session=*; Path=/; HttpOnly; Secure; Partitioned; SameSite=None",
    ],
    ["persistent", { persistent: true }, "__Host-session=*; Max-Age=88; Path=/; HttpOnly; Secure; SameSite=Lax"],
  ])("%s", (_name, options, expected) => {
    const { header, value } = new SessionCookie({ secret, ...options }).issue({ token, session });
    expect(header.replace(value, "*")).toBe(expected);
  });

  test("a removal repeats the attributes, and expires at once", () => {
    const { header } = new SessionCookie({ secret, domain: "example.org", path: "/app", sameSite: "strict" }).remove();
    expect(header).toBe(
      "__Secure-session=; Max-Age=0; Domain=example.org; Path=/app; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Strict",
    );
  });

  test("the parts equal the header", () => {
    const { name, value, attributes, header } = new SessionCookie({ secret, persistent: true }).issue({
      token,
      session,
    });
    expect(parseSetCookie(header)).toEqual({ name, value, ...attributes });
  });

  test("a persistent cookie lives until its session's absolute deadline, but no longer than browsers keep one", () => {
    const days = (endsAt: number): number | undefined =>
      new SessionCookie({ secret, persistent: true }).issue({
        token,
        session: { remainingMs: 0, expiresAt: 0, endsAt },
      }).attributes.maxAge;
    expect(days(30 * 86_400_000)).toBe(30 * 86_400);
    expect(days(900 * 86_400_000)).toBe(400 * 86_400);
  });
});

describe("the cookie received", () => {
  test("is found among other cookies", () => {
    expect(cookie.read(pair)).toBe(token);
    expect(cookie.read(`a=1; ${pair}; b=%22`)).toBe(token);
    expect(cookie.read(`a=1;${pair}`)).toBe(token);
  });

  test("signed by HMAC-SHA256 of name and token", () => {
    const mac = createHmac("sha256", secret).update(`__Host-session=${token}`).digest("base64url");
    expect(issued.value).toBe(`${token}.${mac}`);
  });

  test("the first secret signs, all verify, a removed one does not", () => {
    const rotated = new SessionCookie({ secret: [secret, older] });
    const old = new SessionCookie({ secret: older }).issue({ token, session });
    expect(rotated.issue({ token, session }).value).toBe(issued.value);
    expect(rotated.read(`${old.name}=${old.value}`)).toBe(token);
    expect(cookie.read(`${old.name}=${old.value}`)).toBeUndefined();
  });

  test.each<[string, string | undefined]>([
    ["no header", undefined],
    ["an empty header", ""],
    ["other cookies alone", "a=1; session=2"],
    ["an empty value", `${cookie.name}=`],
    ["the name alone", cookie.name],
    ["a token without signature", `${cookie.name}=${token}`],
    ["a token with an empty signature", `${cookie.name}=${token}.`],
    ["a truncated signature", pair.slice(0, -1)],
    ["a longer signature", `${pair}A`],
    ["a changed signature", pair.slice(0, -1) + (pair.endsWith("A") ? "B" : "A")],
    ["a changed token", pair.replace(token, generateToken())],
    [
      "a signature of another secret",
      `${cookie.name}=${new SessionCookie({ secret: older }).issue({ token, session }).value}`,
    ],
    [
      "a signature for another name",
      `${cookie.name}=${new SessionCookie({ secret, name: "x" }).issue({ token, session }).value}`,
    ],
    ["another name that ends alike", `x${pair}`],
    ["another case of the name", pair.replace("__Host", "__host")],
    ["an escaped value", pair.replace(".", "%2E")],
    ["a quoted value", `${cookie.name}="${issued.value}"`],
    ["the form of express-session", `${cookie.name}=s%3A${issued.value}`],
    ["a line feed at the end", `${pair}\n`],
    ["two sessions, both signed", `${pair}; ${cookie.name}=${cookie.issue({ token: generateToken(), session }).value}`],
  ])("is ignored: %s", (_name, header) => {
    expect(cookie.read(header)).toBeUndefined();
  });

  test("is found although there are invalid cookies of the same name", () => {
    expect(cookie.read(`${cookie.name}=junk; ${pair}; ${cookie.name}=${token}.${token}`)).toBe(token);
    expect(cookie.read(`${pair}; ${pair}`)).toBe(token);
  });

  test("is distinguished from no cookie", () => {
    expect(cookie.isIn(undefined)).toBe(false);
    expect(cookie.isIn(`a=1; x${pair}; ${cookie.name}`)).toBe(false);
    expect(cookie.isIn(`a=1; ${cookie.name}=forged`)).toBe(true);
    expect(cookie.isIn(`${cookie.name}=`)).toBe(true);
  });

  test("is a plain token if there is no secret", () => {
    const plain = new SessionCookie({ secret: false });
    expect(plain.issue({ token, session }).value).toBe(token);
    expect(plain.read(`__Host-session=${token}`)).toBe(token);
    expect(plain.read(pair)).toBeUndefined();
    expect(plain.read("__Host-session=short")).toBeUndefined();
  });

  test("is one that was issued, or undefined: 10,000 random headers", () => {
    const parts = fc.constantFrom(
      cookie.name,
      "=",
      ";",
      " ",
      ".",
      token,
      issued.value.slice(44),
      "__proto__",
      "%",
      '"',
      "\0",
    );
    const header = fc.oneof(
      fc.string(),
      fc.array(parts, { maxLength: 12 }).map((list) => list.join("")),
    );
    fc.assert(
      fc.property(header, (text) => {
        const read = cookie.read(text);
        expect(read === undefined || (read === token && text.includes(issued.value))).toBe(true);
      }),
      { numRuns: 10_000 },
    );
  });
});

describe("is refused", () => {
  test.each<[string, object | string | undefined]>([
    ['option "secret" must be a string of at least 32 bytes', {}],
    ['option "secret" must be', { secret: undefined }],
    ['option "secret" must be', { secret: "" }],
    ['or false, received "a number"', { secret: 4815162342 }],
    ['option "secret" must be', { secret: "31 bytes: this is one too short" }],
    ['option "secret" must be', { secret: [] }],
    ['option "secret" must be', { secret: [secret, "short"] }],
    ['option "secret" must be', { secret: true }],
    ['"lax" or "strict" where "secure" is false', { secure: false, sameSite: "none" }],
    ['"lax", "strict" or "none"', { sameSite: "Lax" }],
    ['option "sameSite" must be a string', { sameSite: true }],
    ['option "partitioned" must be false', { secure: false, partitioned: true }],
    ["prefix __Host-", { secure: false, name: "__Host-sid" }],
    ["prefix __Host-", { name: "__Host-sid", domain: "example.org" }],
    ["prefix __host-", { name: "__host-sid", path: "/app" }],
    ["prefix __Secure-", { secure: false, name: "__Secure-sid" }],
    ["prefix __Http-", { secure: false, name: "__Http-sid" }],
    ['option "name" must be at most 4009 bytes', { name: "n".repeat(4010) }],
    ["name is invalid", { name: "" }],
    ["name is invalid", { name: "a b" }],
    ["name is invalid", { name: "a=b" }],
    ["name is invalid", { name: "a\r\nset-cookie: x" }],
    ["domain is invalid", { domain: "exa mple.org" }],
    ['option "domain" must be a host name', { domain: "" }],
    ['option "path" must be a path', { path: "app" }],
    ["path is invalid", { path: "/a;b" }],
    ['option "secure" must be a boolean', { secure: "auto" }],
    ['unknown option "httpOnly"', { httpOnly: false }],
    ['unknown option "maxAge"', { maxAge: 5 }],
    ['option "cookie" must be an object', undefined],
    ['option "cookie" must be an object', secret],
  ])("%s", (message, options) => {
    const complete =
      typeof options !== "object" || "secret" in options || message.includes("32 bytes")
        ? options
        : { secret, ...options };
    // What JavaScript callers may pass.
    const error = thrownBy(() => new SessionCookie(complete as SessionCookieOptions));
    expect(isSessionError(error, "INVALID_OPTION"), String(error)).toBe(true);
    expect(String(error)).toContain(message);
    expect(String(error)).toContain("@sojourn/core: ");
    for (const hidden of [secret, "short", "31 bytes"]) expect(String(error)).not.toContain(`"${hidden}`);
  });

  test("not a name that leaves room for the value", () => {
    const longest = new SessionCookie({ secret, name: "n".repeat(4009) }).issue({ token, session });
    expect(Buffer.byteLength(longest.name + longest.value)).toBe(4096);
  });
});

test("sessions on node:http", async () => {
  const manager = new SessionManager<{ views: number }>({ store: new MemoryStore(), sweep: false });
  const server = createServer(async (request, response) => {
    const known = cookie.read(request.headers.cookie);
    if (request.url === "/logout") {
      if (known !== undefined) await manager.destroy(known);
      response.setHeader("set-cookie", cookie.remove().header).end();
      return;
    }
    const found = known && (await manager.update(known, ({ views }) => ({ views: views + 1 })));
    if (!found) response.setHeader("set-cookie", cookie.issue(await manager.create({ data: { views: 1 } })).header);
    response.end(String(found ? found.data.views : 1));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const visit = async (path: string, sent = ""): Promise<[string, string | undefined]> => {
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, {
      headers: { cookie: sent },
    });
    return [await response.text(), response.headers.getSetCookie()[0]?.split(";")[0]];
  };
  const [first, received] = await visit("/");
  expect([first, await visit("/", received)]).toEqual(["1", ["2", undefined]]);
  expect(await visit("/logout", received)).toEqual(["", "__Host-session="]);
  expect((await visit("/", received))[0]).toBe("1");
  server.closeAllConnections();
  server.close();
  await manager.close();
});

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}
