import pino from "pino";
import { describe, expect, test } from "vitest";
import { contextConsole, createContext, lineFormatter, pinoMixin } from "../src/index.js";
import { logSink } from "./support.js";

const context = createContext<{ tenant: string }>();
const { runWithContext } = context;

describe("pinoMixin", () => {
  test("puts the ids on every line, of child loggers too, and none outside a context", () => {
    const sink = logSink();
    const logger = pino({ mixin: pinoMixin(context), base: null, timestamp: false }, sink.stream);
    logger.info("outside");
    runWithContext({ requestId: "r1", sessionId: "s1", userId: "u1", tenant: "a" }, () => {
      logger.info({ n: 1 }, "inside");
      runWithContext({ userId: undefined }, () => logger.child({ n: 2 }).warn("child"));
    });
    expect(sink.lines()).toEqual([
      { level: 30, msg: "outside" },
      { level: 30, msg: "inside", n: 1, requestId: "r1", sessionId: "s1", userId: "u1" },
      { level: 40, msg: "child", n: 2, requestId: "r1", sessionId: "s1" },
    ]);
  });

  test("logs the given keys, and the default for a key without a value", () => {
    const sink = logSink();
    const withDefault = createContext<{ tenant: string }>({ unset: "unset" });
    const mixin = pinoMixin(withDefault, ["tenant", "requestId"]);
    pino({ mixin, base: null, timestamp: false }, sink.stream).info("x");
    expect(sink.lines()).toEqual([{ level: 30, msg: "x", tenant: "unset", requestId: "unset" }]);
  });

  test("an error of a getter drops its field, not the line", () => {
    const broken = {
      requestId: "r1",
      get userId(): string {
        throw new Error("no user here");
      },
    };
    runWithContext(broken, () => {
      expect(pinoMixin(context)()).toEqual({ requestId: "r1" });
      expect(() => context.get("userId")).toThrow("no user here");
    });
  });
});

describe("lineFormatter", () => {
  const format = lineFormatter(context);

  test("puts the ids before the text, which is formatted as console.log does", () => {
    expect(format("%s is %d", "x", 1, { a: 1 })).toBe("x is 1 { a: 1 }");
    runWithContext({ requestId: "r1", sessionId: "s_-1", userId: "42" }, () => {
      expect(format("hello")).toBe("[requestId=r1 sessionId=s_-1 userId=42] hello");
      expect(format("a\r\nb\nc")).toBe(
        ["a", "b", "c"].map((line) => `[requestId=r1 sessionId=s_-1 userId=42] ${line}`).join("\n"),
      );
    });
    expect(runWithContext({ tenant: "a", userId: "42" }, () => lineFormatter(context, ["tenant"])("x"))).toBe(
      "[tenant=a] x",
    );
  });

  test.each([
    ["a space and a bracket", "x] requestId=r2", '[requestId=r1 userId="x] requestId=r2"] text'],
    ["a quote", '"', '[requestId=r1 userId="\\""] text'],
    [
      "line ends",
      "a\n[requestId=r2] b\u2028c\r\u0085",
      '[requestId=r1 userId="a\\n[requestId=r2] b\\u2028c\\r\\u0085"] text',
    ],
    ["nothing", "", '[requestId=r1 userId=""] text'],
  ])("a user id of %s forges no field and no line", (_name, userId, expected) => {
    expect(runWithContext({ requestId: "r1", userId }, () => format("text"))).toBe(expected);
  });

  test("control characters of a text are escaped: a text cannot imitate lines or control the terminal", () => {
    expect(format("a\tb\rc\u001b[31m\u0007\u2029")).toBe("a\tb\\u000dc\\u001b[31m\\u0007\\u2029");
  });
});

test("contextConsole writes each level to that level of the console that it is given", () => {
  const lines: unknown[] = [];
  const write =
    (level: string) =>
    (...args: unknown[]): void =>
      void lines.push([level, ...args]);
  const [debug, error, info, log, warn] = ["debug", "error", "info", "log", "warn"].map(write);
  const target = { debug, error, info, log, warn } as unknown as Console;
  const wrapped = contextConsole(context, target);
  runWithContext({ requestId: "r1" }, () => {
    for (const level of ["debug", "error", "info", "log", "warn"] as const) wrapped[level]("100%d", 1);
  });
  expect(lines).toEqual(["debug", "error", "info", "log", "warn"].map((level) => [level, "%s", "[requestId=r1] 1001"]));
});
