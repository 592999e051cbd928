import { createHash } from "node:crypto";

/** How many sessions a store suite works on: a multiple of every concurrency, so that each caller has some of its own. */
export const population = 1_024;

/** Returns a shop's data about a visitor, as JSON of exactly `bytes` bytes. */
export function sessionData(n, bytes) {
  const data = {
    userId: userOf(n),
    user: { name: `Visitor ${n}`, roles: ["customer"], locale: "en-GB" },
    csrf: createHash("sha256").update(`csrf ${n}`).digest("base64url"),
    views: 10_000,
    cart: [],
    note: "",
  };
  while (length(data) + 110 < bytes) {
    const item = data.cart.length;
    data.cart.push({
      sku: `SKU-${100_000 + item}`,
      title: `Article number ${item}`,
      quantity: 1 + (item % 3),
      cents: 1_999,
    });
  }
  data.note = "x".repeat(Math.max(0, bytes - length(data)));
  return data;
}

/** Four sessions a user. */
export function userOf(n) {
  return `user-${Math.floor(n / 4)}`;
}

/** As long as the ids of Sojourn, and for every subject the same. */
export function idOf(n) {
  return createHash("sha256").update(`session ${n}`).digest("base64url");
}

function length(data) {
  return JSON.stringify(data).length;
}
