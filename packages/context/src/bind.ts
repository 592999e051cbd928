import { AsyncResource } from "node:async_hooks";
import type { EventEmitter } from "node:events";

/** The key under which a bound `emit` keeps the original one; shared by all copies of this package. */
const unbound = Symbol.for("sojourn.unboundEmit");
/**
 * The key under which a bound `emit` keeps the context that it is bound to. Absent when it is bound to every context of
 * the process.
 */
const boundTo = Symbol.for("sojourn.emitBoundTo");

type Emit = EventEmitter["emit"] & { [unbound]?: Emit; [boundTo]?: object | undefined };

/**
 * Binds a callback to the current context, for libraries that call back from another one: a queue, a pool, a shared
 * emitter. Binds every `AsyncLocalStorage` of the process, not only this package's.
 *
 * A bound listener is removed by the original function, too: `emitter.off(name, fn)`.
 */
export function bind<Fn extends (...args: never[]) => unknown>(fn: Fn): Fn {
  // Node's types require parameters of type `any` here; the bound function has the parameters of `fn`.
  const bound = AsyncResource.bind(fn as unknown as () => unknown) as unknown as Fn;
  // Node's emitters find the original listener by this property, as those of `once` do.
  return Object.defineProperty(bound, "listener", { value: fn });
}

/**
 * Makes an emitter that belongs to one request or job emit in the current context, regardless of who emits and when its
 * listeners were added. Binding it again moves it to the context at that time.
 *
 * The listeners stay unchanged, so that adding and removing them works as before. For an emitter that several requests
 * share, use {@link bind} for each listener.
 *
 * @returns the emitter
 */
export function bindEmitter<Emitter extends Pick<EventEmitter, "emit">>(emitter: Emitter): Emitter {
  const resource = new AsyncResource("SojournEmitter");
  emitIn((emit) => resource.runInAsyncScope(emit), emitter);
  return emitter;
}

/**
 * Makes an emitter emit through `run`, and replaces the earlier binding to the same `context`; bindings to other
 * contexts stay. It assigns properties, because this runs for each request and defining a property costs a hundred
 * times as much.
 */
export function emitIn(
  run: (emit: () => boolean) => boolean,
  emitter: Pick<EventEmitter, "emit">,
  context?: object,
): void {
  const current: Emit = emitter.emit;
  const replaces = context === undefined || current[boundTo] === context;
  const emit = replaces ? (current[unbound] ?? current) : current;
  const bound: Emit = (...args) => run(() => emit.apply(emitter, args));
  bound[unbound] = emit;
  bound[boundTo] = context;
  emitter.emit = bound;
}
