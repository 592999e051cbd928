import type { HttpFramework } from "./http-framework.js";
import type { SessionCookie, SessionToSend } from "./session-cookie.js";

/** Carries the token between client and server: by cookie or by header, never by both. */
export interface Transport<Request, Response> {
  /**
   * Returns the texts that the client presents as its token. They may be malformed: the manager reports that. There are several
   * if the client has several cookies of the name.
   */
  read(request: Request): readonly string[];
  /** Sends a new token to the client. */
  send(response: Response, session: SessionToSend): void;
  /** Makes the client forget its token. */
  remove(response: Response): void;
}

/** Carries the token in a cookie. Needs no cookie plugin of the framework, whose settings could change our attributes. */
export function cookieTransport<Request, Response>(
  framework: HttpFramework<Request, Response>,
  cookie: SessionCookie,
): Transport<Request, Response> {
  const set = (response: Response, header: string): void => {
    framework.setHeader(response, "set-cookie", header);
    forbidCaching(framework, response);
  };
  return {
    read: (request) => {
      const header = framework.header(request, "cookie");
      const tokens = cookie.readAll(header);
      return tokens.length === 0 && cookie.isIn(header) ? forged : tokens;
    },
    send: (response, session) => set(response, cookie.issue(session).header),
    remove: (response) => set(response, cookie.remove().header),
  };
}

/** Stands for a cookie whose signature does not verify. It is a malformed token, so that the manager reports it. */
const forged: readonly string[] = ["forged"];

/**
 * Carries the token in a request header, for `authorization` behind `Bearer`. A new token is answered in the response
 * header of the same name, for `authorization` in `session-token`. An empty one means that the session has ended.
 *
 * @param header - in lower case
 */
export function headerTransport<Request, Response>(
  framework: HttpFramework<Request, Response>,
  header: string,
): Transport<Request, Response> {
  const isAuthorization = header === "authorization";
  const responseHeader = isAuthorization ? "session-token" : header;
  const set = (response: Response, value: string): void => {
    framework.setHeader(response, responseHeader, value);
    forbidCaching(framework, response);
  };
  return {
    read: (request) => {
      const value = framework.header(request, header);
      // The application may use other schemes for other purposes.
      const token = isAuthorization ? /^Bearer +(.*)$/i.exec(value ?? "")?.[1] : value;
      return token === undefined ? [] : [token];
    },
    send: (response, { token }) => set(response, token),
    remove: (response) => set(response, ""),
  };
}

/** A cache must never hand one client's token to another, whatever the route says (OWASP, Session Management). */
function forbidCaching<Response>(framework: HttpFramework<never, Response>, response: Response): void {
  const isForbidden = framework.responseHeader(response, "cache-control")?.includes("no-store");
  if (!isForbidden) framework.setHeader(response, "cache-control", "no-store");
}
