import { AsyncResource } from "node:async_hooks";
import type { EventEmitter } from "node:events";

/** Under which a bound `emit` keeps the one that it stands for; shared by all copies of this package. */
const unbound = Symbol.for("sojourn.unboundEmit");
/** Under which it keeps the context that it is bound to, where that is one and not all of the process. */
const boundTo = Symbol.for("sojourn.emitBoundTo");

type Emit = EventEmitter["emit"] & { [unbound]?: Emit; [boundTo]?: object | undefined };

/**
 * Binds a callback to the context of this moment, for libraries that call back from another one: a queue, a pool, a
 * shared emitter. Every `AsyncLocalStorage` of the process is bound, not this package's alone.
 *
 * As a listener it is also removed by the function that it was made of: `emitter.off(name, fn)`.
 */
export function bind<Fn extends (...args: never[]) => unknown>(fn: Fn): Fn {
  // Node's types want parameters of type `any` here; what comes back is called like `fn`.
  const bound = AsyncResource.bind(fn as unknown as () => unknown) as unknown as Fn;
  // By this property Node's emitters know what a listener wraps, as `once` does.
  return Object.defineProperty(bound, "listener", { value: fn });
}

/**
 * Makes an emitter that belongs to one request or job emit in the context of this moment, whoever emits and whenever its
 * listeners were added. Binding it again moves it to the context of then.
 *
 * Listeners stay as they are, so that adding and removing them works as before. For an emitter that several requests
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
 * Makes an emitter emit by way of `run`, in place of what it was bound to before; what binds to one `context` leaves the
 * bindings of others. By assignments: this is done for each request, and defining costs a hundredfold.
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
