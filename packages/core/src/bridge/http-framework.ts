/**
 * What the bridge room asks of an HTTP framework. A bridge has one such object, for all requests.
 *
 * @typeParam Request - what the framework has at the beginning of a request, such as `FastifyRequest`
 * @typeParam Response - what takes the headers of the response, such as `FastifyReply`; passed to `commit`
 */
export interface HttpFramework<Request, Response> {
  /** Name of the bridge's package, for error messages. */
  readonly packageName: string;

  /** Names of the options that the bridge adds, for error messages. Default: none. */
  readonly ownOptions?: readonly string[];

  /** Returns a header of the request. @param name - in lower case */
  header(request: Request, name: string): string | undefined;

  /** Returns the client's address, according to the framework's proxy settings. Called only when the manager needs it. */
  ip(request: Request): string | undefined;

  /**
   * Returns the reason why this request cannot write its session, such as "a WebSocket can only read its session".
   * Default: every request can write.
   */
  readOnlyReason?(request: Request): string | undefined;

  /** Sets a header of the response. Keeps the `set-cookie` headers that are already there. */
  setHeader(response: Response, name: string, value: string): void;

  /** Returns a header of the response as set so far. */
  responseHeader(response: Response, name: string): string | undefined;

  /** Whether the head of the response has been sent, so that no header can be added. */
  isHeadSent(response: Response): boolean;

  /** Calls the listener once the response has closed. Without it, a change that comes too late is lost without a warning. */
  onClosed?(response: Response, listener: () => void): void;
}
