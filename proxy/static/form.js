// The form: its fields, limits and defaults are the server's own.

import { get } from "./api.js";

const NUMBERS = { steps: "Steps", guidance_scale: "Guidance", seed: "Seed", n: "Pictures" };
const CHOICES = { size: "Size", sampler: "Sampler", format: "Format" };
const PATIENCE_MILLISECONDS = 250;

const byId = (id) => document.getElementById(id);

export class Form {
  #catalogue;
  #locked = false;
  #counting;

  /** catalogue: the answer to GET /models. */
  constructor(catalogue) {
    this.#catalogue = catalogue;
    const [family] = catalogue.families;
    byId("family-line").textContent = `${family.name}: a caption becomes a picture`;
    const rows = [
      ...Object.entries(NUMBERS).map(([name, title]) => this.#number(name, title)),
      ...Object.entries(CHOICES).map(([name, title]) => this.#choice(name, title, this.#options(name, family))),
    ];
    byId("numbers").replaceChildren(...rows);
    byId("examples").replaceChildren(...(family.examples ?? []).map((caption) => this.#example(caption)));
    byId("caption").addEventListener("input", () => this.#countSoon());
    byId("caption").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      byId("form").requestSubmit();
    });
    byId("controls").disabled = false;
    byId("caption").focus();
  }

  /** What is asked for, under the API's names. A seed that is not locked is drawn anew each time. */
  values() {
    const [width, height] = byId("size").value.split("x");
    const values = { width, height };
    for (const name of ["caption", "negative_caption", "steps", "guidance_scale", "n", "sampler", "format"]) {
      values[name] = byId(name).value.trim();
    }
    if (!this.#locked || byId("seed").value === "") this.roll();
    values.seed = byId("seed").value;
    return values;
  }

  /** Take parameters over into the fields; the seed is then locked. */
  take(parameters) {
    for (const [name, value] of Object.entries(parameters)) {
      const field = byId(name);
      if (field && value !== null) field.value = value;
    }
    byId("size").value = `${parameters.width}x${parameters.height}`;
    this.#lock(true);
    this.#countSoon();
  }

  /** A seed that nobody chose. */
  roll() {
    byId("seed").value = Math.floor(Math.random() * (this.#limits("seed").maximum + 1));
  }

  /** Put each problem next to the field that it is about. Returns those that have no field. */
  complain(details) {
    const homeless = [];
    for (const { parameter, received, allowed } of details) {
      const field = ["width", "height"].includes(parameter) ? "size" : parameter;
      const place = byId(`${field}-error`);
      if (!place) homeless.push(`${parameter}: ${allowed}`);
      else place.textContent = received === null ? `Needed: ${allowed}.` : `${received} does not work; it takes ${allowed}.`;
      byId(field)?.setAttribute("aria-invalid", "true");
      byId(field)?.closest("details")?.setAttribute("open", "");
    }
    document.querySelector('[aria-invalid="true"]')?.focus();
    return homeless;
  }

  /** Forget the problems. */
  calm() {
    for (const place of byId("form").querySelectorAll(".error")) place.textContent = "";
    for (const field of byId("form").querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  }

  #limits(name) {
    return this.#catalogue.parameters[name];
  }

  #options(name, family) {
    if (name === "size") return family.sizes.map(({ width, height }) => `${width}x${height}`);
    return name === "sampler" ? this.#catalogue.samplers : this.#catalogue.formats;
  }

  #number(name, title) {
    const { minimum, maximum, default: usual, type } = this.#limits(name);
    const field = Object.assign(document.createElement("input"), {
      id: name, name, type: "number", min: minimum, max: maximum, step: type === "integer" ? 1 : "any", inputMode: "decimal",
    });
    if (usual !== null) field.value = usual;
    const row = this.#field(name, `${title}`, field);
    if (name === "seed") row.append(...this.#seedButtons());
    return row;
  }

  #choice(name, title, options) {
    const field = Object.assign(document.createElement("select"), { id: name, name });
    field.append(...options.map((option) => new Option(option.replace("x", " × ").replace("e ×", "ex"), option)));
    const usual = this.#limits(name)?.default;
    if (usual) field.value = usual;
    return this.#field(name, title, field);
  }

  #field(name, title, field) {
    const row = Object.assign(document.createElement("div"), { className: "field" });
    const label = Object.assign(document.createElement("label"), { htmlFor: name, textContent: title });
    const error = Object.assign(document.createElement("p"), { id: `${name}-error`, className: "error", role: "alert" });
    field.setAttribute("aria-describedby", error.id);
    row.append(label, field, error);
    return row;
  }

  #seedButtons() {
    const dice = Object.assign(document.createElement("button"), { type: "button", id: "dice", textContent: "🎲" });
    dice.setAttribute("aria-label", "Another seed");
    dice.addEventListener("click", () => this.roll());
    const lock = Object.assign(document.createElement("button"), { type: "button", id: "lock" });
    lock.setAttribute("aria-label", "Keep this seed");
    lock.addEventListener("click", () => this.#lock(!this.#locked));
    queueMicrotask(() => {
      this.#lock(false);
      byId("seed").addEventListener("input", () => this.#lock(true));
    });
    return [dice, lock];
  }

  #lock(locked) {
    this.#locked = locked;
    byId("lock").setAttribute("aria-pressed", locked);
    byId("lock").textContent = locked ? "🔒" : "🔓";
  }

  #example(caption) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: caption });
    button.addEventListener("click", () => {
      byId("caption").value = caption;
      byId("form").requestSubmit();
    });
    return button;
  }

  #countSoon() {
    clearTimeout(this.#counting);
    this.#counting = setTimeout(() => this.#count(), PATIENCE_MILLISECONDS);
  }

  async #count() {
    const caption = byId("caption").value;
    const told = byId("caption-tokens");
    if (!caption.trim()) return told.replaceChildren();
    const { tokens, most, dropped } = await get("tokens", { caption }).catch(() => ({}));
    if (tokens === undefined || caption !== byId("caption").value) return undefined;
    told.classList.toggle("warning", most - tokens <= 5);
    told.textContent = dropped
      ? `${tokens} of ${most} tokens. This will not be read: “${dropped}”`
      : `${most - tokens} tokens left`;
    return undefined;
  }
}
