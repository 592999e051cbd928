import { SingleSlotProtocol } from "./single-slot-protocol.js";
export class ClusterProtocol extends SingleSlotProtocol {}
