// The page: one drawing at a time, from the form to the pictures.

import { ApiError, KEY_REFUSED, draw, get } from "./api.js";
import { announce } from "./banner.js";
import { byId, sentence } from "./elements.js";
import { Form } from "./form.js";
import { Gallery } from "./gallery.js";
import { History } from "./history.js";
import { askForKey } from "./lock.js";

const PREVIEW_STEPS = 5;
const RETRY_SECONDS = 2;
const LONG_SECONDS = 120;

let current;
let isConnecting = false;

/** Ask the server what it can do, until it can; and people for a key, where it wants one. */
async function connect() {
  isConnecting = true;
  const patience = setTimeout(() => announce("Asking the server what it can draw …"), 300);
  for (;;) {
    const answer = await get("models").catch((problem) => problem);
    clearTimeout(patience);
    if (!(answer instanceof Error)) {
      announce("");
      isConnecting = false;
      return answer;
    }
    if (answer.type === KEY_REFUSED) {
      await askForKey(answer.message);
      continue;
    }
    announce(`${sentence(answer.message)} Trying again …`);
    const seconds = answer.retrySeconds || RETRY_SECONDS;
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}

/** For those who do not see the page change. */
function say(text) {
  byId("said").textContent = text;
}

async function submit(parameters) {
  if (current) {
    fail("One thing at a time: wait for this one, or cancel it.");
    return;
  }
  begin();
  current = draw({ ...parameters, preview_steps: PREVIEW_STEPS }, {
    queued: ({ position, seconds_left: seconds }) => tell(`In line, number ${position}`, left(seconds)),
    progress: (progress) => show({ text: timed(progress), ...progress }),
    lost: () => tell("The connection broke. Trying again …"),
  });
  const problem = await current.result.then((result) => gallery.add(result)).catch((caught) => caught);
  end();
  if (problem) complain(problem);
}

function begin() {
  form.calm();
  busy(true);
  byId("preview").hidden = true;
  byId("bar").removeAttribute("value");
  byId("work").hidden = false;
  tell("Drawing …");
  byId("work").scrollIntoView({ block: "nearest" });
}

function end() {
  current = undefined;
  if (byId("work").contains(document.activeElement)) byId("draw").focus();
  byId("work").hidden = true;
  busy(false);
}

function busy(isBusy) {
  byId("failure").textContent = "";
  byId("draw").setAttribute("aria-disabled", isBusy);
  gallery.isBusy = isBusy;
}

function timed({ step, steps, seconds_left: seconds }) {
  return step === steps ? "Last strokes" : `Step ${step} of ${steps}${left(seconds)}`;
}

/** What is said of the time that is left, if it is known and worth it. */
function left(seconds) {
  if (!(seconds >= 1)) return "";
  return seconds > LONG_SECONDS ? `, ${Math.ceil(seconds / 60)} min left` : `, ${Math.ceil(seconds)} s left`;
}

function show({ text, step, steps, preview }) {
  byId("step").textContent = text;
  if (steps) Object.assign(byId("bar"), { value: step, max: steps });
  if (preview) Object.assign(byId("preview"), { src: preview, hidden: false });
}

/** To those who see the page, and those who do not; more: what is not worth hearing. */
function tell(text, more = "") {
  show({ text: text + more });
  say(text);
}

function complain(problem) {
  if (!(problem instanceof ApiError)) throw problem;
  if (problem.type === KEY_REFUSED) return; // it is asked for already
  if (problem.type === "cancelled") {
    say("Cancelled.");
    return;
  }
  const details = problem.details.filter(({ parameter }) => parameter);
  const isAtHome = form.complain(details) && details.length > 0;
  if (!isAtHome) fail(sentence(problem.message));
}

function fail(text) {
  byId("failure").textContent = text;
  byId("failure").scrollIntoView({ block: "nearest" });
}

const form = new Form(await connect(), say);
const gallery = new Gallery(await History.open(), { use: (parameters) => form.take(parameters), draw: submit, say });
byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  form.calm();
  if (form.check()) submit(form.values());
});
byId("cancel").addEventListener("click", () => current?.cancel());
addEventListener("keydown", (event) => {
  // Escape also leaves a word that is being composed.
  if (event.key === "Escape" && !event.isComposing && !byId("viewer").open) current?.cancel();
});
addEventListener("offline", () => announce("This device is offline."));
addEventListener("online", () => announce(""));
addEventListener("keyrefused", async ({ detail: reason }) => {
  if (isConnecting) return;
  isConnecting = true;
  await askForKey(reason);
  await connect();
  form.open();
});
form.open();
