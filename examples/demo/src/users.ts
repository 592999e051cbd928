import { type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";

export interface User {
  readonly id: string;
  readonly name: string;
}

interface StoredUser extends User {
  /** `scrypt$N$r$p$salt$hash`, both in base64url. */
  readonly passwordHash: string;
}

/** The demo's only user; the password is "password". */
const admin: StoredUser = {
  id: "1",
  name: "admin",
  passwordHash: "scrypt$16384$8$1$d_vHZTsB__puRNySB9Tkbg$v3oJrq54ofnvX4zm6YPPtkCLd-FVP71faAmsvbnxhl4",
};

/** The user of this name and password, or `undefined`. An unknown name takes as long as a wrong password. */
export async function authenticate(name: string, password: string): Promise<User | undefined> {
  const matches = await verify(password, admin.passwordHash);
  return matches && name === admin.name ? { id: admin.id, name: admin.name } : undefined;
}

async function verify(password: string, stored: string): Promise<boolean> {
  const [, cost, blockSize, parallelization, salt = "", hash = ""] = stored.split("$");
  const expected = Buffer.from(hash, "base64url");
  const options = { N: Number(cost), r: Number(blockSize), p: Number(parallelization) };
  return timingSafeEqual(await derive(password, Buffer.from(salt, "base64url"), expected.length, options), expected);
}

function derive(password: string, salt: Buffer, length: number, options: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, length, options, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}
