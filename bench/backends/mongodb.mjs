import { MongoStore } from "@sojourn/mongodb";
import { startMongoJavaServer } from "@sojourn/test-fixtures";
import ConnectMongo from "connect-mongo";
// Version 6: the next one refuses to speak to this server.
import { MongoClient } from "mongodb";
import { idleMs } from "../lib/subjects.mjs";

const dbName = "bench";

export const backend = {
  title: "MongoDB (mongo-java-server)",
  start: () => startMongoJavaServer(),
  packages: ["mongodb", "connect-mongo"],
  setting:
    "mongo-java-server 1.47 in place of MongoDB: it keeps all in memory and says little of MongoDB's own cost; a pool of 10 connections each",
  drivers: { mongodb: openDriver },
  peers: { "connect-mongo": openPeer },
  open,
};

async function open({ url, namespace }) {
  const client = openClient(url);
  // Patient: on a busy machine the store's own timeout would turn slowness into failures, which no peer has.
  const store = new MongoStore({ client, dbName, collectionName: `ours_${namespace}`, timeoutMs: 30_000 });
  await store.ensureSchema();
  return { store, close: () => client.close() };
}

async function openPeer({ url, namespace }) {
  const client = openClient(url);
  const store = ConnectMongo.create({ client, dbName, collectionName: `peer_${namespace}` });
  // Its index is made by then.
  await store.collectionP;
  return { store, close: () => store.close() };
}

async function openDriver({ url, namespace }) {
  const client = openClient(url);
  const sessions = client.db(dbName).collection(`raw_${namespace}`);
  const expires = () => new Date(Date.now() + idleMs);
  return {
    write: (_id, payload) => sessions.updateOne({ _id }, { $set: { payload, expires: expires() } }, { upsert: true }),
    read: (_id) => sessions.findOne({ _id, expires: { $gt: new Date() } }),
    touch: (_id) => sessions.updateOne({ _id }, { $set: { expires: expires() } }),
    remove: (_id) => sessions.deleteOne({ _id }),
    close: () => client.close(),
  };
}

function openClient(url) {
  return new MongoClient(url, { directConnection: true, maxPoolSize: 10 });
}
