// Holds a network namespace for its parent, until the channel to the parent closes. Hands over a listener that is in the
// namespace: a socket stays in the namespace that it was made in, whichever process uses it.
import { createServer } from "node:net";

process.once("disconnect", () => process.exit());
const listener = createServer();
listener.listen(0, () => {
  // Closes its own copy, which would accept connections too.
  process.send?.("listener", listener, {}, () => listener.close());
});
