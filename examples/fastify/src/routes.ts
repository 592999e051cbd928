import type { SessionManager } from "@sojourn/core";
import { type RequestSession, sessionOf } from "@sojourn/fastify";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { authenticate, type User } from "./users.js";

export interface AppSession {
  user: User;
  loginCount: number;
  preferences: Record<string, unknown>;
}

interface Credentials {
  readonly username: string;
  readonly password: string;
}

const credentials = {
  type: "object",
  required: ["username", "password"],
  properties: { username: { type: "string" }, password: { type: "string" } },
};

export interface RoutesOptions {
  readonly manager: SessionManager<AppSession>;
}

export async function routes(app: FastifyInstance, { manager }: RoutesOptions): Promise<void> {
  app.post<{ Body: Credentials }>("/login", { schema: { body: credentials } }, async (request, reply) => {
    const user = await authenticate(request.body.username, request.body.password);
    if (user === undefined) {
      request.log.warn("login failed");
      return reply.status(401).send({ error: "wrong user name or password" });
    }
    const session = await sessionOf(request, manager);
    session.data.user = user;
    session.data.loginCount = (session.data.loginCount ?? 0) + 1;
    // A new token at login: whoever knew the old one (session fixation) knows nothing of this one.
    await session.regenerate({ userId: user.id });
    request.log.info("logged in");
    return { user };
  });

  app.register(routesOfUsers, { manager });
}

/** What only those who are logged in may do. */
async function routesOfUsers(app: FastifyInstance, { manager }: RoutesOptions): Promise<void> {
  const sessionFor = (request: FastifyRequest): Promise<RequestSession<AppSession>> => sessionOf(request, manager);

  app.addHook("preHandler", async (request, reply) => {
    const { userId } = await sessionFor(request);
    if (userId === undefined) return reply.status(401).send({ error: "not logged in" });
  });

  app.get("/profile", async (request) => {
    const { user, loginCount, preferences = {} } = (await sessionFor(request)).data;
    return { user, loginCount, preferences };
  });

  app.post<{ Body: Record<string, unknown> }>(
    "/preferences",
    { schema: { body: { type: "object" } } },
    async (request) => {
      const { data } = await sessionFor(request);
      data.preferences = { ...data.preferences, ...request.body };
      return data.preferences;
    },
  );

  app.get("/sessions", async (request) => (await sessionFor(request)).listMine());

  app.delete<{ Params: { id: string } }>("/sessions/:id", async (request, reply) => {
    // One's own only: an id that is somebody else's is as unknown as one that never was.
    const hasEnded = await (await sessionFor(request)).destroyMine(request.params.id);
    return reply.status(hasEnded ? 204 : 404).send();
  });

  app.post("/logout", async (request, reply) => {
    await (await sessionFor(request)).destroy();
    return reply.status(204).send();
  });

  app.post("/logout-everywhere", async (request) => {
    const session = await sessionFor(request);
    const others = await session.destroyOthers();
    await session.destroy();
    return { ended: others.length + 1 };
  });
}
