import { RequestSession as RequestSessionOf } from "@sojourn/core/bridge";
import type { FastifyReply, FastifyRequest } from "fastify";

/** The session of a Fastify request: {@link RequestSessionOf}. */
export type RequestSession<Data extends object> = RequestSessionOf<Data, FastifyRequest, FastifyReply>;
export const RequestSession: typeof RequestSessionOf = RequestSessionOf;
