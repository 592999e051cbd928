import type { SessionCookie, SessionToSend } from "@sojourn/core/bridge";
import type { FastifyReply, FastifyRequest } from "fastify";

/** How the token travels: by cookie or by header, never by both. */
export interface Transport {
  /** What the client presents as its token, which need not be one: the manager reports what is not. */
  read(request: FastifyRequest): string | undefined;
  /** Hands a new token to the client. */
  send(reply: FastifyReply, session: SessionToSend): void;
  /** Makes the client forget its token. */
  remove(reply: FastifyReply): void;
}

/**
 * Reads and writes the headers themselves: what `reply.setCookie` of @fastify/cookie is given in an `onSend` hook is lost where
 * the application has registered it with `hook: false`, and changed by its `parseOptions` everywhere.
 */
export function cookieTransport(cookie: SessionCookie): Transport {
  const set = (reply: FastifyReply, header: string): void => {
    reply.header("set-cookie", header);
    forbidCaching(reply);
  };
  return {
    read: ({ headers }) => cookie.read(headers.cookie) ?? (cookie.isIn(headers.cookie) ? forged : undefined),
    send: (reply, session) => set(reply, cookie.issue(session).header),
    remove: (reply) => set(reply, cookie.remove().header),
  };
}

/** Stands for a cookie that does not verify. It is no token either. */
const forged = "forged";

/** A new token answers in the header that it is asked by; an empty one says that there is none any more. */
export function headerTransport(header: string): Transport {
  const isAuthorization = header === "authorization";
  const responseHeader = isAuthorization ? "session-token" : header;
  const set = (reply: FastifyReply, value: string): void => {
    reply.header(responseHeader, value);
    forbidCaching(reply);
  };
  return {
    read: ({ headers }) => {
      const value = headers[header];
      if (typeof value !== "string") return undefined;
      // Of other schemes the application may have users of its own.
      return isAuthorization ? /^Bearer +(.*)$/i.exec(value)?.[1] : value;
    },
    send: (reply, { token }) => set(reply, token),
    remove: (reply) => set(reply, ""),
  };
}

/** No cache may hand one client's token to another, whatever the route says of its response (OWASP, Session Management). */
function forbidCaching(reply: FastifyReply): void {
  if (!String(reply.getHeader("cache-control")).includes("no-store")) reply.header("cache-control", "no-store");
}
