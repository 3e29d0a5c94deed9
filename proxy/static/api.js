// Easel's HTTP API, by GET alone. Addresses are relative, so that the page works under any path of a proxy.

import { EventStream, told } from "./stream.js";

const KEY = "easel-api-key";
export const KEY_REFUSED = "invalid_api_key";

/** The key that goes with every request, until this tab is closed; none where the server asks for none. */
export const key = {
  value: inStorage((storage) => storage.getItem(KEY)),
  give: (value) => {
    key.value = value;
    inStorage((storage) => storage.setItem(KEY, value));
  },
  headers: () => (key.value ? { Authorization: `Bearer ${key.value}` } : {}),
};

/** Some browsers refuse their storage to frames of another site: then the key lasts as long as the page. */
function inStorage(act) {
  try {
    return act(sessionStorage);
  } catch {
    return undefined;
  }
}

/**
 * A problem as the server tells it: `message`, `details` with one record for each parameter, and `retrySeconds`,
 * when to try again, where it says so.
 */
export class ApiError extends Error {
  constructor({ message, details = [], type = "" }, retrySeconds) {
    super(message);
    Object.assign(this, { type, details, retrySeconds });
  }
}

export const OFFLINE = new ApiError({ message: "The server cannot be reached.", type: "offline" });
const LOST = new ApiError({ message: "The server has lost this picture. Please draw it again.", type: "lost" });
const CANCELLED = new ApiError({ message: "Cancelled.", type: "cancelled" });

/** The JSON at a path. Throws ApiError. */
export async function get(path, parameters = {}) {
  let response;
  try {
    response = await fetch(address(path, parameters), { headers: key.headers() });
  } catch {
    throw OFFLINE;
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const said = told(body) ?? { message: `The server answered with status ${response.status}.` };
  throw refused(said, Number(response.headers.get("Retry-After")));
}

/** The problem that is said; of a key, the window hears too, whoever asked: `keyrefused`, with why. */
function refused(said, retrySeconds) {
  const problem = new ApiError(said, retrySeconds);
  if (problem.type === KEY_REFUSED) dispatchEvent(new CustomEvent("keyrefused", { detail: said.message }));
  return problem;
}

/** A path with a query; what is empty or undefined is left out. */
export function address(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => (value ?? "") !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/**
 * Draw, and tell how it goes.
 *
 * on: functions `queued({position})`, `progress({step, steps, seconds_left, preview})`, and `lost()` when the
 * connection broke and is made again.
 * Returns `{result, cancel}`: a promise of the result, which rejects with ApiError, and a function that ends the work.
 */
export function draw(parameters, on) {
  const events = new EventStream(address("generate/events", parameters), key.headers());
  const { promise: result, resolve, reject } = deferred();
  let job;
  let hasBegun = false;
  let isCancelled = false;
  const stop = () => {
    events.close();
    get("generate/cancel", { job }).catch(() => {}); // it may be over already
  };
  const when = (name, act) => events.addEventListener(name, (event) => {
    const data = JSON.parse(event.data);
    job = data.job ?? job;
    // Only now is it known what to cancel.
    if (isCancelled) stop();
    else act(data);
  });
  when("queued", on.queued);
  when("progress", on.progress);
  when("result", (data) => {
    events.close();
    resolve(data);
  });
  events.addEventListener("open", () => {
    hasBegun = true;
  });
  events.addEventListener("error", (event) => {
    if (event.data) {
      events.close();
      reject(refused(JSON.parse(event.data).error));
    } else if (events.readyState === EventSource.CLOSED) {
      reject(job ? LOST : OFFLINE);
    } else if (isCancelled || (hasBegun && !job)) {
      // Work without a name cannot be found again: to ask once more would begin it twice.
      events.close();
      reject(LOST);
    } else {
      on.lost();
    }
  });
  const cancel = () => {
    isCancelled = true;
    reject(CANCELLED);
    if (job) stop();
  };
  return { result, cancel };
}

function deferred() {
  let settle;
  const promise = new Promise((resolve, reject) => { settle = { resolve, reject }; });
  return { promise, ...settle };
}
