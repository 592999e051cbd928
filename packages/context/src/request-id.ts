import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { invalidOption } from "@sojourn/core/bridge";

/** What tracing systems and proxies use, and nothing that could end a log line or a field in it. */
const requestIdPattern = /^[\w.:+/=@-]{1,128}$/;

/**
 * Makes the function that gives a request its id: a new UUID, or what a header says that a proxy in front sets.
 *
 * The header is taken when it is 1 to 128 characters of `A-Z a-z 0-9 _ . : + / = @ -`; anything else counts as absent.
 * Name one only where every request passes a proxy that sets it: a client could otherwise choose the id in your logs.
 *
 * @param header - the header to trust, such as `"x-request-id"`; default none
 * @throws SessionError `INVALID_OPTION`
 */
export function requestIds(
  header?: string | undefined,
): (request: { readonly headers: IncomingHttpHeaders }) => string {
  if (header === undefined) return () => randomUUID();
  if (typeof header !== "string" || header === "") {
    throw invalidOption("@sojourn/context", "requestIdHeader", "the name of a header", header);
  }
  const name = header.toLowerCase();
  return ({ headers }) => {
    const value = headers[name];
    return typeof value === "string" && requestIdPattern.test(value) ? value : randomUUID();
  };
}
