/** Who sent a request, as the application knows it. Behind a proxy, the address is what the proxy says. */
export interface Client {
  readonly ip?: string | undefined;
  readonly userAgent?: string | undefined;
}

export interface ClientOptions {
  /** Who presents the session: checked by `binding`, and named as the `source` of `security` events. Default: not known. */
  readonly client?: Client | undefined;
}
