import type { Client } from "@sojourn/core/bridge";
import type { FastifyRequest } from "fastify";

/** Who sends a request, for the `binding` and the `security` events of the manager. */
export function clientOf(request: FastifyRequest): Client {
  return { ip: request.ip, userAgent: request.headers["user-agent"] };
}
