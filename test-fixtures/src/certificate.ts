import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBinary } from "./machine.js";

/** A certificate of a server on this machine that no authority has signed, in PEM. It is its own authority. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

/** Why a certificate cannot be made here, as the reason of a skipped test; `undefined` if it can. */
export function whyNoCertificate(): string | undefined {
  return findBinary(["openssl"]) === undefined ? "not installed: openssl" : undefined;
}

/** Makes a certificate for `localhost` and 127.0.0.1, valid for a day. */
export function makeCertificate(): TestCertificate {
  const directory = mkdtempSync(join(tmpdir(), "sojourn-certificate-"));
  try {
    const [keyFile, certFile] = [join(directory, "key.pem"), join(directory, "cert.pem")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
    execFileSync("openssl", ["req", ...kind, ...subject, "-keyout", keyFile, "-out", certFile], { stdio: "ignore" });
    return { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
