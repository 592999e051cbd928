import { findBinary } from "@sojourn/test-fixtures";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Demo, startDemo } from "../src/server.js";
import { Client } from "./client.js";

let demo: Demo;
let browser: Browser;
/** A browser takes its time on a busy machine. */
const patienceMs = 120_000;

beforeAll(async () => {
  demo = await startDemo({ port: 0, secret: "test", storeUrl: "memory:", warnings: [] });
  browser = await chromium.launch({
    executablePath: findChromium(),
    timeout: patienceMs,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
});
afterAll(async () => {
  await browser?.close();
  await demo?.stop();
});

test("a person logs in, sees two sessions, ends the other one and logs out", async () => {
  const page = await browser.newPage();
  page.setDefaultTimeout(patienceMs);
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    // A refused login and the look after a logout are answered 401, which the browser notes.
    if (message.type() === "error" && !message.text().includes("401")) errors.push(message.text());
  });
  await page.goto(demo.url);

  await page.getByLabel("User name").fill("admin");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("Wrong user name or password.").waitFor();

  const phone = new Client("A phone elsewhere");
  await phone.login(demo.url);
  await page.getByLabel("User name").fill("admin");
  await page.getByLabel("Password").fill("password");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Active sessions" }).waitFor();
  await page.getByRole("cell", { name: "This session" }).waitFor();
  expect(await page.getByRole("row").count()).toBe(3);
  await page.getByRole("cell", { name: "A phone elsewhere" }).waitFor();

  await page.getByLabel("Theme").selectOption("dark");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Preferences saved.").waitFor();
  await page.reload();
  await page.getByRole("cell", { name: "This session" }).waitFor();
  expect(await page.getByLabel("Theme").inputValue()).toBe("dark");

  await page.getByRole("button", { name: /^End the session that began/ }).click();
  await page.getByText("Session ended.").waitFor();
  expect(await page.getByRole("row").count()).toBe(2);
  expect((await phone.send("GET", `${demo.url}/profile`)).status).toBe(401);

  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByText("You are logged out.").waitFor();
  await page.getByRole("button", { name: "Log in" }).waitFor();
  expect(errors).toEqual([]);
});

/** The browser that scripts/provision.mjs looks for and installs. */
function findChromium(): string {
  const named = process.env.SOJOURN_TEST_CHROMIUM;
  const mac = "/Applications/Google Chrome.app/Contents/MacOS";
  const found = named ?? findBinary(["chromium", "chromium-browser", "google-chrome", "Google Chrome"], [mac]);
  if (found !== undefined) return found;
  throw new Error("Chromium is missing: install chromium, or set SOJOURN_TEST_CHROMIUM to its path");
}
