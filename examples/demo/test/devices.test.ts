import { expect, test } from "vitest";
import { describeDevice } from "../src/devices.js";

test.each([
  ["Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows", "desktop"],
  [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Safari on iPhone",
    "phone",
  ],
  [
    "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Safari on iPad",
    "tablet",
  ],
  ["curl/7.88.1", "curl", "program"],
  ["x".repeat(300), `${"x".repeat(31)}…`, "program"],
  ["", "Unknown device", "program"],
  [undefined, "Unknown device", "program"],
])("the device of %j is %j, a %s", (userAgent, name, kind) => {
  expect(describeDevice(userAgent)).toEqual({ name, kind });
});
