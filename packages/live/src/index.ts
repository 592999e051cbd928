export type { ConnectedSession, LiveConnection } from "./connection.js";
export { type EndedEvent, LiveSessions, type LiveStatistics } from "./live-sessions.js";
export type { LiveManager, LiveSessionsOptions } from "./options.js";
export type { OriginHeaders } from "./origin.js";
export type {
  CloseFunction,
  CloseReason,
  EventStreamLike,
  LiveTransport,
  SessionClose,
  SocketIoLike,
  WebSocketLike,
} from "./transports.js";
