let hasWarned = false;

/** Warns once for each process: one such place in an application loses changes at each request. */
export function warnOfLostChanges(packageName: string): void {
  if (hasWarned) return;
  hasWarned = true;
  const warning =
    `${packageName}: session data was changed after the response had begun, and was not saved: ` +
    "call session.save() or session.update(fn) after such a change";
  process.emitWarning(warning, { code: "SOJOURN_UNSAVED_CHANGES" });
}
