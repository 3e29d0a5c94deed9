// Easel's HTTP API, by GET alone. Addresses are relative, so that the page works under any path of a proxy.

/** A problem as the server tells it: `message`, and `details` with one record for each parameter. */
export class ApiError extends Error {
  constructor({ message, details = [], type = "" }) {
    super(message);
    this.type = type;
    this.details = details;
  }
}

export const OFFLINE = new ApiError({ message: "The server cannot be reached.", type: "offline" });

/** The JSON at a path. Throws ApiError. */
export async function get(path, parameters = {}, options = {}) {
  let response;
  try {
    response = await fetch(address(path, parameters), options);
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw OFFLINE;
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new ApiError(body.error ?? { message: `The server answered with status ${response.status}.` });
}

/** A path with a query; what is empty or undefined is left out. */
export function address(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "" && value !== null);
  const query = new URLSearchParams(given);
  return given.length ? `${path}?${query}` : path;
}

/**
 * Draw, and tell how it goes.
 *
 * on: functions `queued({position})`, `progress({step, steps, seconds_left, preview})`, `lost()` when the connection broke
 * and is made again.
 * Returns `{result, cancel}`: a promise of the result, which rejects with ApiError, and a function that ends the work.
 */
export function draw(parameters, on) {
  const events = new EventSource(address("generate/events", parameters));
  let job;
  let settle;
  const result = new Promise((resolve, reject) => { settle = { resolve, reject }; });
  const read = (event) => {
    const data = JSON.parse(event.data);
    job = data.job ?? job;
    return data;
  };
  events.addEventListener("queued", (event) => on.queued(read(event)));
  events.addEventListener("progress", (event) => on.progress(read(event)));
  events.addEventListener("result", (event) => {
    events.close();
    settle.resolve(read(event));
  });
  events.addEventListener("error", (event) => {
    if (event.data) {
      events.close();
      settle.reject(new ApiError(JSON.parse(event.data).error));
    } else if (events.readyState === EventSource.CLOSED) {
      settle.reject(OFFLINE);
    } else {
      on.lost();
    }
  });
  const cancel = async () => {
    events.close();
    settle.reject(new ApiError({ message: "Cancelled.", type: "cancelled" }));
    if (job) await get("generate/cancel", { job }).catch(() => undefined);
  };
  return { result, cancel };
}
