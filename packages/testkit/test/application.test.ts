import { SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { eventOf, sessionCookieFor, TestClock } from "@sojourn/testkit";
import { webSessions } from "@sojourn/web";
import { expect, onTestFinished, test } from "vitest";

const secret = "at least thirty-two bytes of text";
const cookie = { name: "sid", secure: false };

test("a test begins logged in, moves the clock beyond the idle timeout, and awaits events", async () => {
  const clock = new TestClock();
  const manager = new SessionManager({ store: new MemoryStore({ clock }), idleTimeout: "30m", sweep: false });
  onTestFinished(() => manager.close());
  const sessions = webSessions({ manager, secret, cookie });
  const created = await manager.create({ userId: "ann", data: {} });
  const headers = { cookie: sessionCookieFor(created, { secret, ...cookie }) };
  const user = async (): Promise<string> => {
    const request = new Request("https://shop.example/", { headers });
    const response = await sessions.handle(request, ({ userId }) => new Response(userId ?? "nobody"));
    return response.text();
  };
  expect(await user()).toBe("ann");
  clock.advance("29m");
  expect(await user()).toBe("ann");
  clock.advance("31m");
  expect(await user()).toBe("nobody");

  const destroyed = eventOf(manager, "destroyed");
  const { token, session } = await manager.create({ data: {} });
  await manager.destroy(token);
  expect(await destroyed).toMatchObject({ id: session.id, reason: "destroyed" });
  await expect(eventOf(manager, "destroyed", 1)).rejects.toThrow('no event "destroyed" within 1 ms');
});
