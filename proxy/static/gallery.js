// The pictures that were drawn: a grid, and one of them large with its parameters.

import { address } from "./api.js";

const byId = (id) => document.getElementById(id);
// What decides a picture; the order is that of the list beside it.
const TOLD = ["caption", "negative_caption", "steps", "guidance_scale", "seed", "sampler", "width", "height", "family", "format"];

export class Gallery {
  #history;
  #on;
  #open;

  /** on: functions `use(parameters)` and `draw(parameters)`. */
  constructor(history, on) {
    this.#history = history;
    this.#on = on;
    byId("undo").addEventListener("click", async () => {
      await this.#history.undo();
      this.#show();
    });
    byId("viewer-copy").addEventListener("click", () => this.#copy());
    byId("viewer-again").addEventListener("click", () => this.#leave(() => this.#on.draw({ ...this.#open.parameters, seed: undefined })));
    byId("viewer-use").addEventListener("click", () => this.#leave(() => this.#on.use(this.#open.parameters)));
    byId("viewer-delete").addEventListener("click", () => this.#leave(() => this.#delete()));
    this.#show();
  }

  /** Keep the pictures of a result. */
  async add({ pictures, parameters }) {
    for (const { seed, media_type, base64 } of pictures.toReversed()) {
      const own = { ...Object.fromEntries(TOLD.map((name) => [name, parameters[name]])), n: 1, seed };
      await this.#history.add({ id: crypto.randomUUID?.() ?? `${Date.now()}-${seed}`, parameters: own, media_type, base64, drawn: Date.now() });
    }
    this.#show();
  }

  #show() {
    const { records, canUndo } = this.#history;
    byId("empty").hidden = records.length > 0;
    byId("undo").hidden = !canUndo;
    byId("pictures").replaceChildren(...records.map((record) => this.#item(record)));
  }

  #item(record) {
    const item = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button" });
    const image = Object.assign(new Image(), { src: source(record), alt: record.parameters.caption, loading: "lazy" });
    button.append(image);
    button.addEventListener("click", () => this.#view(record));
    item.append(button);
    return item;
  }

  #view(record) {
    this.#open = record;
    const { parameters } = record;
    byId("viewer-title").textContent = parameters.caption;
    Object.assign(byId("viewer-picture"), { src: source(record), alt: parameters.caption });
    const told = TOLD.filter((name) => name !== "caption" && parameters[name] !== "" && parameters[name] !== null);
    byId("viewer-parameters").replaceChildren(...told.flatMap((name) => [term("dt", name.replaceAll("_", " ")), term("dd", parameters[name])]));
    Object.assign(byId("viewer-save"), { href: source(record), download: `easel-${parameters.seed}.${parameters.format}` });
    byId("viewer-said").textContent = "";
    byId("viewer").showModal();
  }

  async #copy() {
    const link = new URL(address("generate", this.#open.parameters), document.baseURI).href;
    try {
      await navigator.clipboard.writeText(link);
      byId("viewer-said").textContent = "Copied. The link draws the same picture again.";
    } catch {
      byId("viewer-said").replaceChildren(Object.assign(document.createElement("a"), { href: link, textContent: link }));
    }
  }

  #leave(act) {
    byId("viewer").close();
    act();
  }

  async #delete() {
    await this.#history.delete(this.#open);
    this.#show();
    byId("undo").focus();
  }
}

function source({ media_type, base64 }) {
  return `data:${media_type};base64,${base64}`;
}

function term(name, text) {
  return Object.assign(document.createElement(name), { textContent: text });
}
