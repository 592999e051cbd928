/**
 * The client that sent a request, as the application knows it. Behind a proxy, take the address from the proxy's
 * header.
 */
export interface Client {
  readonly ip?: string | undefined;
  readonly userAgent?: string | undefined;
}

export interface ClientOptions {
  /**
   * The client that presents the session: checked by `binding`, and the `source` of `security` events. Default: not
   * known.
   */
  readonly client?: Client | undefined;
}
