import session from "express-session";

/** Stores for express-session and @fastify/session that keep one session for everybody: what the frameworks cost alone. */
class IdleStore extends session.Store {
  template;
  text;

  set(_id, value, callback) {
    this.text = JSON.stringify(value);
    this.template = JSON.parse(this.text);
    callback?.(null);
  }
  touch(_id, _value, callback) {
    callback?.(null);
  }
  destroy(_id, callback) {
    callback?.(null);
  }
}

/** Hands out the session, as a copy because frameworks change what they get. */
export class NothingStore extends IdleStore {
  get(_id, callback) {
    callback(null, this.template && { ...this.template, cookie: { ...this.template.cookie } });
  }
}

/** Decodes it at each request, as every store outside the process must. */
export class DecodingStore extends IdleStore {
  get(_id, callback) {
    callback(null, this.text && JSON.parse(this.text));
  }
}
