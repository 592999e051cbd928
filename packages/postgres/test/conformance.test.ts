import { resolvePostgres, startPostgres } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { describe, test } from "vitest";
import { harnessOn } from "./harness.js";

const utc = await resolvePostgres();
describeConformance(harnessOn("postgres", utc), { describe, test });
