import type { StoreCapabilities } from "@sojourn/core/adapter";
import { audit, runClient } from "./client.js";
import type { Round } from "./generator.js";
import { FileRecorder } from "./journal.js";
import { openStore, type StorePlace } from "./stores.js";

/** Forked: one process of an application, with several clients on one store. */
export interface WorkerOptions {
  readonly process: number;
  readonly clients: number;
  readonly place: StorePlace;
}

export interface Order {
  readonly act: "run" | "audit";
  readonly round: Round;
  readonly file: string;
}

export type Report =
  | { readonly type: "ready"; readonly capabilities: StoreCapabilities }
  | { readonly type: "done" }
  | { readonly type: "failed"; readonly message: string };

const options = JSON.parse(process.argv[2] ?? "") as WorkerOptions;
const store = await openStore(options.place);

process.on("message", (order: Order) => {
  void obey(order).then(
    () => report({ type: "done" }),
    (error: unknown) => report({ type: "failed", message: String(error) }),
  );
});
// Its parent is gone.
process.on("disconnect", () => process.exit());
report({ type: "ready", capabilities: store.capabilities });

async function obey({ act, round, file }: Order): Promise<void> {
  const recorder = new FileRecorder(file);
  if (act === "audit") await audit(store, round, options.process, recorder);
  else {
    const clients = Array.from({ length: options.clients }, (_, client) =>
      runClient(store, round, { process: options.process, client }, recorder),
    );
    await Promise.all(clients);
  }
  recorder.close();
}

function report(message: Report): void {
  process.send?.(message);
}
