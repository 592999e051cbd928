export { bind, bindEmitter } from "./bind.js";
export {
  type Context,
  type ContextOptions,
  type ContextValues,
  createContext,
  type RequestValues,
  type SomeValues,
} from "./context.js";
export { type ExpressContextOptions, type ExpressRequest, expressContext } from "./express.js";
export { type FastifyContextOptions, fastifyContext } from "./fastify.js";
export { contextConsole, lineFormatter, pinoMixin } from "./log.js";
export type { RequestContextOptions } from "./request.js";
export { requestIds } from "./request-id.js";
