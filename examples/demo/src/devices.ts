import Bowser from "bowser";

export interface Device {
  /** `Firefox on Windows`, for people. */
  readonly name: string;
  readonly kind: "desktop" | "phone" | "tablet" | "program";
}

/** Describes the device behind a user agent. A program that is no browser is named by its user agent up to the first "/". */
export function describeDevice(userAgent: unknown): Device {
  if (typeof userAgent !== "string" || userAgent === "") return { name: "Unknown device", kind: "program" };
  const { browser, os, platform } = Bowser.parse(userAgent);
  if (!browser.name || !os.name) return { name: shorten(userAgent.replace(/\/.*/s, "")), kind: "program" };
  // "iPhone" and "iPad" say more than "iOS".
  const system = os.name === "iOS" ? (platform.model ?? os.name) : os.name;
  return { name: `${browser.name} on ${system}`, kind: kindOf(platform.type) };
}

function shorten(text: string): string {
  return text.length > 32 ? `${text.slice(0, 31)}…` : text;
}

function kindOf(type: string | undefined): Device["kind"] {
  if (type === "mobile") return "phone";
  return type === "tablet" ? "tablet" : "desktop";
}
