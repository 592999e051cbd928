import type { HttpFramework } from "../src/bridge/index.js";

/** A request and a response of a framework that exists for tests only. */
export interface TestRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly ip?: string;
  readonly readOnlyReason?: string;
}

export class TestResponse {
  readonly headers: Headers = new Headers();
  isHeadSent = false;
}

/** Notes each read of the client's address. */
export function testFramework(ipReads: TestRequest[] = []): HttpFramework<TestRequest, TestResponse> {
  return {
    packageName: "test-framework",
    header: ({ headers }, name) => headers[name],
    ip: (request) => {
      ipReads.push(request);
      return request.ip;
    },
    readOnlyReason: (request) => request.readOnlyReason,
    setHeader: ({ headers }, name, value) =>
      name === "set-cookie" ? headers.append(name, value) : headers.set(name, value),
    responseHeader: ({ headers }, name) => headers.get(name) ?? undefined,
    isHeadSent: (response) => response.isHeadSent,
  };
}

export const secret = "a secret of more than thirty-two bytes";

/** The request that a browser sends after it got this response. */
export function nextRequest({ headers }: TestResponse): TestRequest {
  const cookies = headers.getSetCookie().map((cookie) => cookie.split(";", 1)[0]);
  return { headers: { cookie: cookies.join("; ") } };
}
