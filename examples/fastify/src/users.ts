import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";

const derive = promisify<string, Buffer, number, Buffer>(scrypt);

export interface User {
  readonly id: string;
  readonly name: string;
}

const salt = randomBytes(16);
/** The example's only user. */
const admin = { user: { id: "1", name: "admin" }, passwordHash: derive("password", salt, 32) };

/** The user of this name and password, or `undefined`. An unknown name takes as long as a wrong password. */
export async function authenticate(name: string, password: string): Promise<User | undefined> {
  const matches = timingSafeEqual(await derive(password, salt, 32), await admin.passwordHash);
  return matches && name === admin.user.name ? admin.user : undefined;
}
