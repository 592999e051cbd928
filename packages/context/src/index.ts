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
export { type KoaContextOptions, koaContext } from "./koa.js";
export { contextConsole, lineFormatter, pinoMixin } from "./log.js";
export type { RequestContextOptions } from "./request.js";
export { type RequestHeaders, requestIds } from "./request-id.js";
export { type WebContextOptions, webContext } from "./web.js";
