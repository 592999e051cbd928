const element = (id) => document.getElementById(id);

/** Calls the API; `undefined` when nobody is logged in. */
async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  });
  if (response.status === 401) return undefined;
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}`);
  return response.status === 204 ? {} : response.json();
}

/** Shows what there is now, and then what came of the last action. */
async function show(message = "") {
  const profile = await call("GET", "profile");
  element("logged-out").hidden = profile !== undefined;
  element("logged-in").hidden = profile === undefined;
  if (profile !== undefined) showProfile(profile, (await call("GET", "sessions")) ?? []);
  element("status").textContent = message;
}

function showProfile({ user, loginCount, lastActivityAt, preferences: { theme = "light" } }, sessions) {
  element("user").textContent = user.name;
  element("login-count").textContent = loginCount;
  element("last-activity").textContent = new Date(lastActivityAt).toLocaleString();
  element("theme").value = theme;
  document.documentElement.dataset.theme = theme;
  element("sessions").replaceChildren(...sessions.map(sessionRow));
}

function sessionRow({ id, current, createdAt, lastActiveAt, ip, userAgent }) {
  const row = document.createElement("tr");
  for (const text of [new Date(createdAt).toLocaleString(), new Date(lastActiveAt).toLocaleString(), ip, userAgent]) {
    row.insertCell().textContent = text ?? "unknown";
  }
  const action = row.insertCell();
  if (current) action.textContent = "This session";
  else action.append(endButton(id, createdAt));
  return row;
}

function endButton(id, createdAt) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "End";
  button.setAttribute("aria-label", `End the session that began ${new Date(createdAt).toLocaleString()}`);
  button.addEventListener("click", () => act(() => call("DELETE", `sessions/${id}`), "Session ended."));
  return button;
}

/** Does something, then shows where that leads; a failure is told, not swallowed. */
async function act(action, message, refusal = "You are logged out.") {
  try {
    const answer = await action();
    await show(answer === undefined ? refusal : message);
  } catch (error) {
    element("status").textContent = error.message;
  }
}

element("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const { username, password } = event.target.elements;
  const credentials = { username: username.value, password: password.value };
  password.value = "";
  void act(() => call("POST", "login", credentials), "Logged in.", "Wrong user name or password.");
});

element("preferences").addEventListener("submit", (event) => {
  event.preventDefault();
  const theme = element("theme").value;
  void act(() => call("POST", "preferences", { theme }), "Preferences saved.");
});

element("logout").addEventListener("click", () => act(() => call("POST", "logout", {}), "You are logged out."));
element("end-others").addEventListener("click", () =>
  act(() => call("POST", "sessions/end-others", {}), "All other sessions ended."),
);

void act(() => ({}), "");
