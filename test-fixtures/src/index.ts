export { Barrier } from "./barrier.js";
export { Browser } from "./browser.js";
export { makeCertificate, type TestCertificate, whyNoCertificate } from "./certificate.js";
export { type FilteredProxy, startFilteredProxy, whyNoPacketFilter } from "./filtered-proxy.js";
export { findBinary, postgresDirectories, unprivilegedUser } from "./machine.js";
export {
  askMemcached,
  listMemcachedItems,
  type MemcachedServerOptions,
  resolveMemcached,
  startMemcached,
} from "./memcached.js";
export { findMongoDB, resolveMongo, startFerretDB, startMongoJavaServer } from "./mongodb.js";
export { type MySQLServerOptions, resolveMySQL, startMySQL } from "./mysql.js";
export { type Method, overriding, recording } from "./overriding.js";
export { freePort } from "./port.js";
export { type PostgresServerOptions, resolvePostgres, startPostgres } from "./postgres.js";
export { type RedisServerOptions, resolveRedis, startRedis } from "./redis.js";
export { startRedisCluster, type TestCluster } from "./redis-cluster.js";
export { startRedisSentinel, type TestSentinel } from "./redis-sentinel.js";
export {
  type BackendOptions,
  type ContainerOptions,
  type ResolvedServer,
  requireBinary,
  resolveServer,
} from "./resolve.js";
export { type ServerOptions, type ServerPlace, startServer, type TestServer } from "./server.js";
export {
  countLosses,
  type RaceAction,
  type RaceRequest,
  type RaceTrack,
  type SessionRace,
  sessionRaces,
} from "./session-races.js";
export { startTcpProxy, type TcpProxy } from "./tcp-proxy.js";
export type { Cut, TcpProxyCounts } from "./tcp-relay.js";
export {
  type PostgresVersion,
  type RedisVersion,
  type ServerVersion,
  testedVersions,
  versionBinary,
  whyMissing,
} from "./versions.js";
