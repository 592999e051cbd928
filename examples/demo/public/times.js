const units = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** Shows a moment as the time since then; the full date is its tooltip. */
export function setTime(element, moment) {
  const date = new Date(moment);
  element.dateTime = date.toISOString();
  element.title = date.toLocaleString();
  element.textContent = sinceText(date);
}

/** Brings the relative times of the page up to date. */
export function refreshTimes() {
  for (const element of document.querySelectorAll("time[datetime]")) {
    element.textContent = sinceText(new Date(element.dateTime));
  }
}

function sinceText(date) {
  const elapsed = Date.now() - date.getTime();
  const [unit, length] = units.find(([, ms]) => elapsed >= ms) ?? [];
  return unit === undefined ? "just now" : relative.format(-Math.floor(elapsed / length), unit);
}
