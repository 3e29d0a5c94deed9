// The pictures that were drawn: a grid, and one of them large with its parameters.

import { ApiError, address } from "./api.js";
import { byId, make, short, words } from "./elements.js";

// What decides a picture.
const NUMBERS = ["steps", "guidance_scale", "seed"];
const DECISIVE = ["caption", "negative_caption", ...NUMBERS, "sampler", "width", "height", "family", "format"];
// What stands beside it; the caption is its title, and only stands there too if it is too long for that.
const TOLD = ["negative_caption", ...NUMBERS, "sampler", "size", "family", "format", "caption"];
const LONGEST_TITLE = 120;

export class Gallery {
  #history;
  #on;
  #open;
  #sources = new Map();
  #items = new Map();

  /** on: functions `use(parameters)`, `draw(parameters)` and `say(text)`. */
  constructor(history, on) {
    this.#history = history;
    this.#on = on;
    byId("undo").addEventListener("click", () => this.#undo());
    byId("viewer-copy").addEventListener("click", () => this.#copy());
    const use = () => on.use(this.#open.parameters);
    for (const [name, act] of Object.entries({ use, again: () => this.#again(), delete: () => this.#delete() })) {
      byId(`viewer-${name}`).addEventListener("click", () => {
        byId("viewer").close();
        act();
      });
    }
    byId("viewer").addEventListener("keydown", (event) => this.#turn({ ArrowLeft: -1, ArrowRight: 1 }[event.key]));
    byId("viewer").addEventListener("click", (event) => event.target === event.currentTarget && event.target.close());
    byId("pictures").append(...history.records.map((record) => this.#item(record)));
    this.#show();
  }

  /** Whether a picture is being drawn: then no other can be asked for. */
  set isBusy(isBusy) {
    byId("viewer-again").disabled = isBusy;
  }

  /** Keep the pictures of a result. Throws ApiError where the browser has no room: they last as long as the page. */
  async add({ pictures, parameters }) {
    const now = Date.now();
    const decisive = Object.fromEntries(DECISIVE.map((name) => [name, parameters[name]]));
    const records = pictures.map(({ seed, media_type: type, base64 }, place) => ({
      id: `${now}-${place}`,
      drawn: now - place / pictures.length, // the first of them is the newest
      parameters: { ...decisive, n: 1, seed },
      file: new Blob([Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0))], { type }),
    }));
    const added = records.toReversed().map((record) => this.#history.add(record));
    byId("pictures").prepend(...records.map((record) => this.#item(record)));
    this.#show();
    const kept = await Promise.all(added);
    const count = records.length === 1 ? "The picture is there." : `${records.length} pictures are there.`;
    if (kept.every(Boolean)) this.#on.say(count);
    else throw new ApiError({ message: `${count} This browser has no room to keep it: save what you like.` });
  }

  #show() {
    const { records, canUndo } = this.#history;
    byId("empty").hidden = records.length > 0;
    byId("undo").hidden = !canUndo;
  }

  /** A picture in the grid. Those that are there stay, and with them the focus. */
  #item(record) {
    const image = make("img", { src: this.#source(record), alt: record.parameters.caption, loading: "lazy" });
    const button = make("button", { type: "button", title: record.parameters.caption }, image);
    button.addEventListener("click", () => this.#view(record));
    const item = make("li", {}, button);
    this.#items.set(record.id, item);
    return item;
  }

  #source({ id, file }) {
    if (!this.#sources.has(id)) this.#sources.set(id, URL.createObjectURL(file));
    return this.#sources.get(id);
  }

  #view(record) {
    this.#open = record;
    const { parameters } = record;
    const title = short(parameters.caption, LONGEST_TITLE);
    byId("viewer-title").textContent = title;
    Object.assign(byId("viewer-picture"), { src: this.#source(record), alt: parameters.caption });
    const caption = title === parameters.caption ? "" : parameters.caption;
    const told = { ...parameters, size: `${parameters.width} × ${parameters.height}`, caption };
    byId("viewer-parameters").replaceChildren(...TOLD.filter((name) => told[name] !== "").flatMap((name) => [
      make("dt", { textContent: words(name) }),
      make("dd", { textContent: told[name] }),
    ]));
    const download = `easel-${parameters.seed}.${parameters.format}`;
    Object.assign(byId("viewer-save"), { href: this.#source(record), download });
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

  #again() {
    this.#on.draw({ ...this.#open.parameters, seed: undefined });
  }

  async #delete() {
    const { id } = this.#open;
    this.#items.get(id).remove();
    this.#items.delete(id);
    URL.revokeObjectURL(this.#sources.get(id));
    this.#sources.delete(id);
    await this.#history.delete(this.#open);
    this.#show();
    this.#on.say("Deleted.");
    byId("undo").focus();
  }

  async #undo() {
    if (!this.#history.canUndo) return; // a second click may come before the button is gone
    const record = await this.#history.undo();
    const item = this.#item(record);
    const place = this.#history.records.indexOf(record);
    byId("pictures").insertBefore(item, byId("pictures").children[place] ?? null);
    item.querySelector("button").focus();
    this.#show();
    this.#on.say("The picture is back.");
  }
}
