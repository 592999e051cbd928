import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { invalidOption } from "@sojourn/core/bridge";

/** The characters that tracing systems and proxies use. None of them ends a log line or a field in it. */
const requestIdPattern = /^[\w.:+/=@-]{1,128}$/;

/** A request of Node.js or of Fetch. */
export interface RequestHeaders {
  readonly headers: IncomingHttpHeaders | Pick<Headers, "get">;
}

/**
 * Returns a function that gives a request its id: a new UUID, or the value of a header that a proxy in front sets.
 *
 * The header must be 1 to 128 characters of `A-Z a-z 0-9 _ . : + / = @ -`; any other value counts as absent. Name a
 * header only where every request passes a proxy that sets it: otherwise a client could choose the id in your logs.
 *
 * @param header - the header to trust, such as `"x-request-id"`; default none
 * @throws SessionError `INVALID_OPTION`
 */
export function requestIds(header?: string | undefined): (request: RequestHeaders) => string {
  if (header === undefined) return () => randomUUID();
  if (typeof header !== "string" || header === "") {
    throw invalidOption("@sojourn/context", "requestIdHeader", "the name of a header", header);
  }
  const name = header.toLowerCase();
  return ({ headers }) => {
    // No header of a client is a function.
    const value = typeof headers.get === "function" ? headers.get(name) : (headers as IncomingHttpHeaders)[name];
    return typeof value === "string" && requestIdPattern.test(value) ? value : randomUUID();
  };
}
