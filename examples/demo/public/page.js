import { call } from "./api.js";
import { countOthers, showDevices } from "./devices.js";
import { showOutcomes } from "./race.js";
import { refreshTimes, setTime } from "./times.js";

const element = (id) => document.getElementById(id);
const sessionsText = (count) => (count === 1 ? "1 session" : `${count} sessions`);

/** Whether the page shows a user; `undefined` before it shows anything. */
let loggedIn;
/** The stream of events of the user's sessions, while there is a user. */
let events;
/** One look at a time: an older answer never covers a newer one. */
let lastLook = Promise.resolve();

/** Shows what there is now. */
function look() {
  lastLook = lastLook.catch(() => {}).then(showAll);
  return lastLook;
}

async function showAll() {
  const status = await call("GET", "status");
  element("backend").textContent = status.backend;
  const profile = status.loggedIn ? await call("GET", "profile") : undefined;
  switchView(profile !== undefined);
  if (profile === undefined) return;
  showProfile(profile);
  await showSessions();
}

/** Shows the sessions, and returns the difference. */
async function showSessions() {
  const sessions = await call("GET", "sessions");
  return sessions && showDevices(sessions, endSession);
}

function showProfile({ user, loginCount, loggedInAt, lastActivityAt, preferences: { theme = "system" } }) {
  element("user").textContent = user.name;
  element("login-count").textContent = loginCount;
  setTime(element("logged-in-at"), loggedInAt);
  setTime(element("last-activity"), lastActivityAt);
  document.documentElement.dataset.theme = theme;
  for (const input of element("theme").querySelectorAll("input")) input.checked = input.value === theme;
}

function switchView(nowLoggedIn) {
  element("logged-out").hidden = nowLoggedIn;
  element("logged-in").hidden = !nowLoggedIn;
  if (nowLoggedIn) listen();
  else {
    stopListening();
    showDevices([]);
    element("outcomes").replaceChildren();
    element("confirm").close();
  }
  // What had the focus is gone: the new view begins at its heading.
  if (loggedIn !== undefined && loggedIn !== nowLoggedIn) focusHeading(nowLoggedIn);
  loggedIn = nowLoggedIn;
}

function focusHeading(nowLoggedIn) {
  element(nowLoggedIn ? "devices-heading" : "login-heading").focus();
}

function listen() {
  if (events !== undefined) return;
  events = new EventSource("events");
  // Also after a lost connection: something may have changed meanwhile.
  events.addEventListener("open", follow);
  events.addEventListener("changed", follow);
  events.addEventListener("ended", () => {
    stopListening();
    void act(
      () => ({}),
      () => (loggedIn ? "" : "This session was ended from another device."),
    );
  });
}

function stopListening() {
  events?.close();
  events = undefined;
}

/** Shows and tells which other sessions began or ended. */
function follow() {
  lastLook = lastLook
    .catch(() => {})
    .then(async () => {
      const difference = loggedIn ? await showSessions() : undefined;
      if (difference === undefined) return;
      const names = (sessions) => sessions.map(({ device }) => device.name).join(", ");
      if (difference.added.length > 0) tell(`New login: ${names(difference.added)}.`);
      if (difference.removed.length > 0) tell(`No longer logged in: ${names(difference.removed)}.`);
    })
    .catch((error) => tell(error.message));
}

function tell(message) {
  element("status").textContent = message;
}

/** Does something, shows where that leads, and tells what came of it. A failure is told, not swallowed. */
async function act(action, message) {
  try {
    const answer = await action();
    await look();
    tell(typeof message === "function" ? message(answer) : message);
  } catch (error) {
    tell(error.message);
  }
}

/** For acts of a user who may have been logged out meanwhile. */
const unlessLoggedOut = (message) => (answer) => (answer === undefined ? "You are logged out." : message(answer));

async function endSession({ id, device }) {
  await act(
    () => call("DELETE", `sessions/${id}`),
    unlessLoggedOut(() => `Ended: ${device.name}.`),
  );
  // The button that had the focus is gone.
  if (loggedIn) focusHeading(true);
}

element("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const { username, password } = event.target.elements;
  const credentials = { username: username.value, password: password.value };
  password.value = "";
  void act(
    () => call("POST", "login", credentials),
    (answer) => (answer === undefined ? "Wrong user name or password." : "You are logged in."),
  );
});

element("theme").addEventListener("change", ({ target }) =>
  act(
    () => call("POST", "preferences", { theme: target.value }),
    unlessLoggedOut(() => "Theme saved."),
  ),
);

element("logout").addEventListener("click", () => {
  // The end that this page asks for is no news from another device.
  stopListening();
  void act(() => call("POST", "logout", {}), "You are logged out.");
});

element("end-others").addEventListener("click", () => {
  const count = countOthers();
  element("confirm-text").textContent =
    `This ends ${sessionsText(count)} on other devices. This device stays logged in.`;
  element("confirm-end").textContent = `End ${sessionsText(count)}`;
  element("confirm").returnValue = "";
  element("confirm").showModal();
});

element("confirm").addEventListener("close", async () => {
  if (element("confirm").returnValue !== "end") return;
  await act(
    () => call("POST", "sessions/end-others", {}),
    unlessLoggedOut(({ ended }) => `Ended ${sessionsText(ended)} on other devices.`),
  );
  if (loggedIn) focusHeading(true);
});

element("run-race").addEventListener("click", async ({ currentTarget: button }) => {
  if (button.getAttribute("aria-disabled") === "true") return;
  // Not `disabled`: the button keeps the focus.
  button.setAttribute("aria-disabled", "true");
  tell("The race is running.");
  try {
    const outcomes = await call("POST", "race", {});
    if (outcomes === undefined) await look();
    else tell(showOutcomes(outcomes));
  } catch (error) {
    tell(error.message);
  } finally {
    button.removeAttribute("aria-disabled");
  }
});

setInterval(refreshTimes, 30_000);
void act(() => ({}), "");
