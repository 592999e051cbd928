import type { EndedSession } from "@sojourn/core/adapter";

/**
 * Calls the listeners of evictions. An error of a listener becomes a process warning, because the write that made room
 * has succeeded.
 */
export class EvictionListeners {
  readonly #listeners = new Set<(session: EndedSession) => void>();

  add(listener: (session: EndedSession) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(session: EndedSession): void {
    for (const listener of this.#listeners) {
      try {
        listener(session);
      } catch (error) {
        const reason = error instanceof Error ? error.message : typeof error;
        process.emitWarning(`@sojourn/memory: a listener of evictions failed: ${reason}`);
      }
    }
  }

  clear(): void {
    this.#listeners.clear();
  }
}
