export { application as default } from "../../tsup.base.js";
