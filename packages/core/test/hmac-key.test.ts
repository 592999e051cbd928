import { createHmac } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HmacKey } from "../src/hmac-key.js";

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
