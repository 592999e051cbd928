const element = (id) => document.getElementById(id);

/** Shows the outcomes side by side, and returns them as a sentence. */
export function showOutcomes(outcomes) {
  element("outcomes").replaceChildren(...outcomes.map(newOutcome));
  return outcomes.map(({ store, revived }) => `${store}: ${verdict(revived)}`).join(" ");
}

const verdict = (revived) => (revived ? "the user is logged in again." : "the user stays logged out.");

function newOutcome({ store, answers, revived }) {
  const card = element("outcome").content.firstElementChild.cloneNode(true);
  card.classList.toggle("revived", revived);
  card.querySelector("h3").textContent = store;
  card.querySelector("ol").append(...answers.map(newAnswer));
  const text = verdict(revived);
  card.querySelector(".verdict").textContent = text[0].toUpperCase() + text.slice(1);
  return card;
}

function newAnswer({ request, status }) {
  const item = document.createElement("li");
  for (const text of [request, status]) {
    const part = document.createElement("span");
    part.textContent = text;
    item.append(part);
  }
  return item;
}
