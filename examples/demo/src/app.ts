import { fileURLToPath } from "node:url";
import { tokenToId } from "@sojourn/core";
import type { ExpressSessionStore } from "@sojourn/express-session";
import express, { type Express, type NextFunction, type Request, type Response } from "express";
import session from "express-session";
import { describeDevice } from "./devices.js";
import type { LiveSessions } from "./live.js";
import { compareLogoutRaces } from "./race.js";
import { authenticate, type User } from "./users.js";

declare module "express-session" {
  interface SessionData {
    user: User;
    loginCount: number;
    loggedInAt: string;
    lastActivityAt: string;
    preferences: Record<string, unknown>;
  }
}

export interface AppOptions {
  readonly sessions: ExpressSessionStore;
  readonly live: LiveSessions;
  /** The name of the backend that keeps the sessions. */
  readonly backend: string;
  /** Signs the session cookie. */
  readonly secret: string;
}

const cookieName = "sid";

/** The demo's web application: a page at `/` over a JSON API. */
export function createApp({ sessions, live, backend, secret }: AppOptions): Express {
  const app = express();
  app.disable("x-powered-by");
  // The demo listens on this machine alone: a proxy before it may say who the client is, and that it came over HTTPS.
  app.set("trust proxy", "loopback");
  app.use(setHeaders, refuseCrossSite);
  app.use(express.static(fileURLToPath(new URL("../public", import.meta.url))));
  app.use(express.json({ limit: "10kb" }));
  app.use(
    session({
      store: sessions,
      name: cookieName,
      secret,
      resave: false,
      saveUninitialized: false,
      rolling: true,
      cookie: { httpOnly: true, sameSite: "lax", secure: "auto", maxAge: 30 * 60_000 },
    }),
  );

  app.get("/status", (req, res) => {
    res.json({ backend, loggedIn: req.session.user !== undefined });
  });

  app.post("/login", async (req, res) => {
    const { username, password } = (req.body ?? {}) as Record<string, unknown>;
    const valid = typeof username === "string" && typeof password === "string";
    const user = valid ? await authenticate(username, password) : undefined;
    if (user === undefined) {
      res.status(401).json({ error: "wrong user name or password" });
      return;
    }
    const { loginCount = 0, preferences = {} } = req.session;
    // A new id at login: whoever knew the old one (session fixation) knows nothing of this one.
    await done((callback) => req.session.regenerate(callback));
    const loggedInAt = new Date().toISOString();
    const login = { user, preferences, loginCount: loginCount + 1, loggedInAt, lastActivityAt: loggedInAt };
    Object.assign(req.session, login);
    // Before the answer: one who is told of a login has one.
    await done((callback) => req.session.save(callback));
    res.json({ user });
  });

  app.use(["/profile", "/preferences", "/logout", "/sessions", "/events", "/race"], requireLogin);

  app.get("/profile", (req, res) => {
    const { user, loginCount, loggedInAt, lastActivityAt, preferences } = req.session;
    req.session.lastActivityAt = new Date().toISOString();
    res.json({ user, loginCount, loggedInAt, lastActivityAt, preferences });
  });

  app.post("/preferences", (req, res) => {
    req.session.preferences = { ...req.session.preferences, ...(req.body as object) };
    res.json(req.session.preferences);
  });

  app.post("/logout", async (req, res) => {
    await done((callback) => req.session.destroy(callback));
    res.clearCookie(cookieName).status(204).end();
  });

  app.get("/sessions", async (req, res) => {
    const currentId = tokenToId(req.sessionID);
    const listed = await sessions.listByUser(userOf(req).id);
    res.json(
      listed.map(({ id, createdAt, lastActiveAt, metadata: { ip, userAgent } }) => {
        const device = describeDevice(userAgent);
        return { id, current: id === currentId, createdAt, lastActiveAt, device, ip, userAgent };
      }),
    );
  });

  app.delete("/sessions/:id", async (req, res) => {
    // Only one's own: an id that is somebody else's is as unknown as one that never was.
    const listed = await sessions.listByUser(userOf(req).id);
    const ended = await listed.find(({ id }) => id === req.params.id)?.destroy();
    res.status(ended === true ? 204 : 404).end();
  });

  app.post("/sessions/end-others", async (req, res) => {
    const ended = await sessions.destroyByUser(userOf(req).id, { except: req.sessionID });
    res.json({ ended: ended.length });
  });

  app.get("/events", (req, res) => {
    live.open(res, { userId: userOf(req).id, id: tokenToId(req.sessionID) });
  });

  app.post("/race", async (_req, res) => {
    res.json(await compareLogoutRaces(sessions.manager, backend));
  });

  app.use(answerError);
  return app;
}

function requireLogin(req: Request, res: Response, next: NextFunction): void {
  if (req.session.user !== undefined) next();
  else res.status(401).json({ error: "not logged in" });
}

function userOf({ session: { user } }: Request): User {
  if (user === undefined) throw new Error("requireLogin must come first");
  return user;
}

/** What express-session does, as a promise. */
function done(act: (callback: (error?: unknown) => void) => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    act((error) => (error ? reject(error as Error) : resolve()));
  });
}

function setHeaders(_req: Request, res: Response, next: NextFunction): void {
  res.set({
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
  });
  next();
}

/** Beside SameSite=Lax: browsers say where a request comes from, and only this page writes. */
function refuseCrossSite(req: Request, res: Response, next: NextFunction): void {
  const site = req.get("sec-fetch-site");
  const reads = req.method === "GET" || req.method === "HEAD";
  if (reads || site === undefined || site === "same-origin") next();
  else res.status(403).json({ error: "cross-site request refused" });
}

// Express knows an error handler by its four parameters.
function answerError(error: { status?: number }, _req: Request, res: Response, _next: NextFunction): void {
  const status = error.status ?? 500;
  if (status >= 500) console.error(error);
  if (res.headersSent) res.destroy();
  else res.status(status).json({ error: status < 500 ? "bad request" : "internal error" });
}
