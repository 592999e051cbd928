import { invalidOption } from "../contract/errors.js";

/** How a bridge shows the session on the framework's request. */
export interface RequestProperty {
  /** The name of the property. */
  readonly decorator: string;
  /** Whether each request loads its session first, so that the property is the session itself. */
  readonly eager: boolean;
}

/** @throws SessionError `INVALID_OPTION` */
export function resolveRequestProperty(
  packageName: string,
  { decorator = "session", eager = false }: { [Option in keyof RequestProperty]?: RequestProperty[Option] | undefined },
): RequestProperty {
  if (typeof decorator !== "string" || decorator === "") {
    throw invalidOption(packageName, "decorator", "the name of a property", decorator);
  }
  if (typeof eager !== "boolean") throw invalidOption(packageName, "eager", "a boolean", eager);
  return { decorator, eager };
}
