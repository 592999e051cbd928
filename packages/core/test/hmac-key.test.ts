import { createHmac } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HmacKey } from "../src/bridge/hmac-key.js";

test("signs as node:crypto does, for secrets shorter and longer than a block and at its edges", () => {
  const secrets = [0, 1, 32, 63, 64, 65, 200].map((length) => "s".repeat(length));
  const text = fc.string({ unit: "binary", maxLength: 200 });
  fc.assert(
    fc.property(fc.oneof(text, fc.constantFrom(...secrets)), text, (secret, message) => {
      const expected = createHmac("sha256", secret).update(message).digest("base64url");
      expect(new HmacKey(secret).sign(message)).toBe(expected);
    }),
    { numRuns: 1000 },
  );
});

test("verifies only its own signature, whatever the reused buffers held before", () => {
  const [key, other] = [new HmacKey("one secret"), new HmacKey("another secret")];
  for (const message of ["a message", "a longer message", "a message"]) {
    const signature = key.sign(message);
    // Characters that a narrower encoding would fold onto those of the signature, and one cut in two at its end.
    const folded = String.fromCharCode(...Array.from(signature, (character) => character.charCodeAt(0) + 0x100));
    const wrong = [
      folded,
      `${signature.slice(0, -1)}é`,
      `${signature}A`,
      signature.slice(0, -1),
      "",
      "\ud800".repeat(43),
    ];
    expect(key.verifies(signature, message)).toBe(true);
    for (const text of wrong) expect(key.verifies(text, message)).toBe(false);
    expect(key.verifies(other.sign(message), message)).toBe(false);
    expect(key.verifies(signature, `${message}!`)).toBe(false);
    expect(other.verifies(signature, message)).toBe(false);
  }
});
