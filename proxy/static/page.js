// The page: one drawing at a time, from the form to the pictures.

import { ApiError, OFFLINE, draw, get } from "./api.js";
import { Form } from "./form.js";
import { Gallery } from "./gallery.js";
import { History } from "./history.js";

const PREVIEW_STEPS = 5;
const RETRY_MILLISECONDS = 2000;

const byId = (id) => document.getElementById(id);

let form;
let gallery;
let current;

/** Ask the server what it can do, until it can. */
async function connect() {
  for (;;) {
    try {
      const catalogue = await get("models");
      say("");
      return catalogue;
    } catch (problem) {
      say(problem === OFFLINE ? "The server cannot be reached. Trying again …" : `The models are not there yet: ${problem.message}`);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MILLISECONDS));
    }
  }
}

function say(text) {
  byId("banner").textContent = text;
  byId("banner").hidden = !text;
}

async function submit(parameters) {
  if (current) return;
  form.calm();
  byId("failure").textContent = "";
  show({ text: "Sent" });
  current = draw({ ...parameters, preview_steps: PREVIEW_STEPS }, {
    queued: ({ position }) => show({ text: position ? `Waiting; ${position - 1} before this` : "Sent" }),
    progress: ({ step, steps, seconds_left, preview }) => show({ text: timed(step, steps, seconds_left), step, steps, preview }),
    lost: () => show({ text: "The connection broke. Trying again …" }),
  });
  byId("cancel").hidden = false;
  byId("draw").disabled = true;
  try {
    await gallery.add(await current.result);
  } catch (problem) {
    complain(problem);
  } finally {
    current = undefined;
    byId("work").hidden = byId("cancel").hidden = true;
    byId("draw").disabled = false;
  }
}

function timed(step, steps, secondsLeft) {
  const left = secondsLeft >= 1 ? `, ${Math.ceil(secondsLeft)} s left` : "";
  return step < steps ? `Step ${step} of ${steps}${left}` : "Decoding";
}

function show({ text, step, steps, preview }) {
  byId("work").hidden = false;
  byId("step").textContent = text;
  if (steps) Object.assign(byId("bar"), { value: step, max: steps });
  else byId("bar").removeAttribute("value");
  if (preview) byId("preview").src = preview;
  byId("preview").hidden = !(preview || (step && !byId("preview").hidden));
}

function complain(problem) {
  if (!(problem instanceof ApiError)) throw problem;
  if (problem.type === "cancelled") return;
  const homeless = form.complain(problem.details.filter(({ parameter }) => parameter));
  const isAtHome = problem.details.some(({ parameter }) => parameter) && !homeless.length;
  byId("failure").textContent = isAtHome ? "" : problem.message;
}

form = new Form(await connect());
gallery = new Gallery(await History.open(), {
  use: (parameters) => form.take(parameters),
  draw: (parameters) => submit(parameters),
});
byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit(form.values());
});
byId("cancel").addEventListener("click", () => current?.cancel());
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !byId("viewer").open) current?.cancel();
});
addEventListener("offline", () => say("This device is offline."));
addEventListener("online", () => say(""));
