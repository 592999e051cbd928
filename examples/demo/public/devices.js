import { setTime } from "./times.js";

const element = (id) => document.getElementById(id);
/** The sessions on the page, by id. */
let shown = new Map();

/** The number of sessions on the page that are not this one. */
export const countOthers = () => [...shown.values()].filter(({ current }) => !current).length;

/**
 * Shows a card for each session, the page's own first. A card that stays is kept, and with it the focus.
 *
 * @returns the sessions that were added and removed
 */
export function showDevices(sessions, onEnd) {
  const before = shown;
  shown = new Map(sessions.map((session) => [session.id, session]));
  const cards = new Map([...element("devices").children].map((card) => [card.dataset.id, card]));
  for (const [id, card] of cards) if (!shown.has(id)) card.remove();
  for (const session of sessions.toSorted((a, b) => b.current - a.current)) {
    const card = cards.get(session.id) ?? newCard(session, onEnd);
    for (const [name, moment] of [
      ["active", session.lastActiveAt],
      ["began", session.createdAt],
    ]) {
      setTime(card.querySelector(`.${name}`), moment);
    }
    if (!card.isConnected) element("devices").append(card);
  }
  element("end-others").hidden = countOthers() === 0;
  element("no-others").hidden = countOthers() > 0;
  return {
    added: sessions.filter(({ id }) => !before.has(id)),
    removed: [...before.values()].filter(({ id }) => !shown.has(id)),
  };
}

function newCard(session, onEnd) {
  const { id, current, device, ip } = session;
  const card = element("device").content.firstElementChild.cloneNode(true);
  card.dataset.id = id;
  card.querySelector("use").setAttribute("href", `icons.svg#${device.kind}`);
  card.querySelector("h3").textContent = device.name;
  card.querySelector(".current").hidden = !current;
  card.querySelector(".address").textContent = ip ?? "unknown address";
  const button = card.querySelector("button");
  if (current) button.remove();
  else {
    button.setAttribute("aria-label", `End ${device.name}`);
    button.addEventListener("click", () => onEnd(session));
  }
  return card;
}
