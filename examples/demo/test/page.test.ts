import { mkdir } from "node:fs/promises";
import { findBinary } from "@sojourn/test-fixtures";
import axe, { type AxeResults } from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Demo, startDemo } from "../src/server.js";
import { Client } from "./client.js";

const firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
const iPhone =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
/** Set to a folder, it takes the pictures of the page. */
const pictures = process.env.SOJOURN_SCREENSHOTS;

let demo: Demo;
let browser: Browser;
/** The errors in the consoles of the pages of a test. */
const errors: string[] = [];
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
afterEach(async () => {
  const seen = errors.splice(0);
  await Promise.all(browser.contexts().map((context) => context.close()));
  const cleaner = new Client();
  await cleaner.login(demo.url);
  await cleaner.send("POST", `${demo.url}/sessions/end-others`, {});
  await cleaner.send("POST", `${demo.url}/logout`, {});
  expect(seen).toEqual([]);
});

test("a person logs in, sees two devices, ends the other one and logs out", async () => {
  const page = await open();
  await page.getByLabel("User name").fill("admin");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("status").getByText("Wrong user name or password.").waitFor();
  // The browser itself reports the answer 401, and nothing else.
  expect(errors.splice(0)).toEqual([expect.stringMatching(/401.*\/login$/)]);

  const phone = new Client(iPhone);
  await phone.login(demo.url);
  await logIn(page);
  expect(await page.getByText("Sessions in Memory").count()).toBe(1);
  expect(await page.getByRole("listitem").allInnerTexts()).toEqual([
    expect.stringMatching(/^Chrome on Linux\s+This deviceactive just now\s+logged in just now127\.0\.0\.1$/),
    expect.stringMatching(/^Safari on iPhone\s+active just now\s+logged in just now127\.0\.0\.1\s+End$/),
  ]);

  await page.getByLabel("Dark").check();
  await page.getByRole("status").getByText("Theme saved.").waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Where you are logged in" }).waitFor();
  expect(await page.getByLabel("Dark").isChecked()).toBe(true);

  await page.getByRole("button", { name: "End Safari on iPhone" }).click();
  await page.getByRole("status").getByText("Ended: Safari on iPhone.").waitFor();
  await page.getByText("No other device is logged in.").waitFor();
  expect((await phone.send("GET", `${demo.url}/profile`)).status).toBe(401);

  await page.getByRole("button", { name: "Log out", exact: true }).click();
  await page.getByRole("status").getByText("You are logged out.").waitFor();
  expect(await hasFocus(page.getByRole("heading", { name: "Log in" }))).toBe(true);
});

test("a login and an end in one browser show in another at once", async () => {
  const [laptop, office] = [await open(), await open({ userAgent: firefox })];
  await logIn(laptop);
  await logIn(office);
  await laptop.getByRole("status").getByText("New login: Firefox on Windows.").waitFor();

  await laptop.getByRole("button", { name: "End Firefox on Windows" }).click();
  await office.getByRole("status").getByText("This session was ended from another device.").waitFor();
  await office.getByRole("heading", { name: "Log in" }).waitFor();

  await logIn(office);
  await laptop.getByRole("button", { name: "End Firefox on Windows" }).waitFor();
  await office.getByRole("button", { name: "Log out", exact: true }).click();
  await laptop.getByRole("status").getByText("No longer logged in: Firefox on Windows.").waitFor();
});

test("with the keyboard alone a person logs in and logs out everywhere else", async () => {
  const others = [new Client(iPhone), new Client(firefox)];
  for (const client of others) await client.login(demo.url);
  const page = await open();
  const { keyboard } = page;
  await page.getByLabel("User name").waitFor();
  await keyboard.press("Tab");
  await keyboard.type("admin");
  await keyboard.press("Tab");
  await keyboard.type("password");
  await keyboard.press("Enter");
  const heading = page.getByRole("heading", { name: "Where you are logged in" });
  await heading.waitFor();
  expect(await hasFocus(heading)).toBe(true);

  const endOthers = page.getByRole("button", { name: "Log out everywhere else" });
  for (const name of ["End Safari on iPhone", "End Firefox on Windows", "Log out everywhere else"]) {
    await keyboard.press("Tab");
    expect(await hasFocus(page.getByRole("button", { name }))).toBe(true);
  }
  await keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Log out everywhere else?" });
  await dialog.getByText("This ends 2 sessions on other devices. This device stays logged in.").waitFor();
  expect(await hasFocus(dialog.getByRole("button", { name: "Cancel" }))).toBe(true);
  await keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  expect(await hasFocus(endOthers)).toBe(true);

  await keyboard.press("Enter");
  await keyboard.press("Tab");
  await keyboard.press("Enter");
  await page.getByRole("status").getByText("Ended 2 sessions on other devices.").waitFor();
  await expect.poll(() => hasFocus(heading)).toBe(true);
  expect((await others[0]?.send("GET", `${demo.url}/profile`))?.status).toBe(401);
});

test("fits at 375 and 1280 px, light and dark, axe finds nothing, and the race shows both outcomes", async () => {
  for (const userAgent of [iPhone, "nightly-export-of-all-sessions-without-a-space/1.0"]) {
    await new Client(userAgent).login(demo.url);
  }
  const page = await open({ userAgent: firefox });
  await page.clock.install();
  await page.reload();
  await page.getByLabel("User name").waitFor();
  await inspect(page, "login");

  await logIn(page);
  await page.getByRole("button", { name: "Run the race" }).click();
  await page.getByRole("status").getByText("Sojourn on Memory: the user stays logged out.").waitFor();
  expect(await page.getByRole("article").allInnerTexts()).toEqual([
    expect.stringMatching(/^express-session's MemoryStore.*GET \/profile\s+200.*The user is logged in again\.$/s),
    expect.stringMatching(/^Sojourn on Memory.*GET \/profile\s+401.*The user stays logged out\.$/s),
  ]);
  await page.clock.fastForward("02:05");
  await page.getByText("active 2 minutes ago").first().waitFor();
  await inspect(page, "devices");
  await page.getByRole("button", { name: "Log out everywhere else" }).click();
  await inspect(page, "confirm");
});

async function open(options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(patienceMs);
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") {
      errors.push(`${message.text()} ${message.location().url}`);
    }
  });
  await page.goto(demo.url);
  return page;
}

async function logIn(page: Page): Promise<void> {
  await page.getByLabel("User name").fill("admin");
  await page.getByLabel("Password").fill("password");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("status").getByText("You are logged in.").waitFor();
}

async function hasFocus(locator: Locator): Promise<boolean> {
  return (await locator.and(locator.page().locator(":focus")).count()) === 1;
}

/** Checks a state of the page in each size and colour scheme, and takes its picture where pictures are wanted. */
async function inspect(page: Page, name: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    for (const width of [1280, 375]) {
      await page.setViewportSize({ width, height: 800 });
      const where = `${name} at ${width} px, ${colorScheme}`;
      expect(await page.evaluate<number>("document.documentElement.scrollWidth"), where).toBeLessThanOrEqual(width);
      if (pictures === undefined) continue;
      await mkdir(pictures, { recursive: true });
      await page.screenshot({ path: `${pictures}/${name}-${width}-${colorScheme}.png`, fullPage: name !== "confirm" });
    }
    expect(await findings(page), `${name}, ${colorScheme}`).toEqual([]);
  }
}

/** Returns the findings of axe, each with the element that it concerns. */
async function findings(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>("axe.run()");
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

/** The browser that scripts/provision.mjs looks for and installs. */
function findChromium(): string {
  const named = process.env.SOJOURN_TEST_CHROMIUM;
  const mac = "/Applications/Google Chrome.app/Contents/MacOS";
  const found = named ?? findBinary(["chromium", "chromium-browser", "google-chrome", "Google Chrome"], [mac]);
  if (found !== undefined) return found;
  throw new Error("Chromium is missing: install chromium, or set SOJOURN_TEST_CHROMIUM to its path");
}
