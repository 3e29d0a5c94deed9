// The pictures that were drawn: a grid, and one of them large with its parameters.

import { address } from "./api.js";
import { byId, make, words } from "./elements.js";

// What decides a picture; the order is that of the list beside it.
const TOLD = ["caption", "negative_caption", "steps", "guidance_scale", "seed", "sampler", "width", "height", "family", "format"];

export class Gallery {
  #history;
  #on;
  #open;
  #sources = new Map();

  /** on: functions `use(parameters)`, `draw(parameters)` and `say(text)`. */
  constructor(history, on) {
    this.#history = history;
    this.#on = on;
    byId("undo").addEventListener("click", () => this.#undo());
    byId("viewer-copy").addEventListener("click", () => this.#copy());
    byId("viewer-again").addEventListener("click", () => this.#leave(() => on.draw({ ...this.#open.parameters, seed: undefined })));
    byId("viewer-use").addEventListener("click", () => this.#leave(() => on.use(this.#open.parameters)));
    byId("viewer-delete").addEventListener("click", () => this.#leave(() => this.#delete()));
    byId("viewer").addEventListener("keydown", (event) => this.#turn({ ArrowLeft: -1, ArrowRight: 1 }[event.key]));
    byId("viewer").addEventListener("click", (event) => event.target === event.currentTarget && event.target.close());
    this.#show();
  }

  /** Keep the pictures of a result. */
  async add({ pictures, parameters }) {
    const now = Date.now();
    const decisive = Object.fromEntries(TOLD.map((name) => [name, parameters[name]]));
    const records = pictures.map(({ seed, media_type: type, base64 }, place) => ({
      id: `${now}-${place}`,
      drawn: now - place / pictures.length, // the first of them is the newest
      parameters: { ...decisive, n: 1, seed },
      file: new Blob([Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0))], { type }),
    }));
    const kept = await Promise.all(records.reverse().map((record) => this.#history.add(record)));
    this.#show();
    const count = records.length === 1 ? "The picture is there." : `${records.length} pictures are there.`;
    this.#on.say(kept.every(Boolean) ? count : `${count} This browser has no room to keep it: save what you like.`);
  }

  #show() {
    const { records, canUndo } = this.#history;
    byId("empty").hidden = records.length > 0;
    byId("undo").hidden = !canUndo;
    byId("pictures").replaceChildren(...records.map((record) => this.#item(record)));
  }

  #item(record) {
    const image = make("img", { src: this.#source(record), alt: record.parameters.caption, loading: "lazy" });
    const button = make("button", { type: "button", title: record.parameters.caption }, image);
    button.addEventListener("click", () => this.#view(record));
    return make("li", {}, button);
  }

  #source({ id, file }) {
    if (!this.#sources.has(id)) this.#sources.set(id, URL.createObjectURL(file));
    return this.#sources.get(id);
  }

  #view(record) {
    this.#open = record;
    const { parameters } = record;
    byId("viewer-title").textContent = parameters.caption;
    Object.assign(byId("viewer-picture"), { src: this.#source(record), alt: parameters.caption });
    const told = TOLD.filter((name) => name !== "caption" && parameters[name] !== "" && parameters[name] !== null);
    byId("viewer-parameters").replaceChildren(
      ...told.flatMap((name) => [make("dt", { textContent: words(name) }), make("dd", { textContent: parameters[name] })]),
    );
    Object.assign(byId("viewer-save"), { href: this.#source(record), download: `easel-${parameters.seed}.${parameters.format}` });
    byId("viewer-said").textContent = "";
    if (!byId("viewer").open) byId("viewer").showModal();
  }

  /** Go so many pictures on. */
  #turn(by) {
    const { records } = this.#history;
    const next = by && records[records.indexOf(this.#open) + by];
    if (next) this.#view(next);
  }

  async #copy() {
    const link = new URL(address("generate", this.#open.parameters), document.baseURI).href;
    const said = byId("viewer-said");
    try {
      await navigator.clipboard.writeText(link);
      said.textContent = "Copied. The link makes the same picture again.";
    } catch {
      // Browsers lend the clipboard only to pages of this machine or over HTTPS.
      said.replaceChildren("Copy this: ", make("a", { href: link, textContent: link }));
    }
  }

  #leave(act) {
    byId("viewer").close();
    act();
  }

  async #delete() {
    await this.#history.delete(this.#open);
    this.#show();
    this.#on.say("Deleted.");
    byId("undo").focus();
  }

  async #undo() {
    const record = await this.#history.undo();
    this.#show();
    this.#on.say("The picture is back.");
    byId("pictures").querySelectorAll("button")[this.#history.records.indexOf(record)].focus();
  }
}
