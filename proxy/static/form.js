// The form: its fields, limits, defaults and words are the server's own.

import { byId, make, short, size, words } from "./elements.js";
import { Counter } from "./counter.js";

const NUMBERS = ["steps", "guidance_scale", "seed", "n"];
const CHOICES = ["family", "size", "sampler", "format"];
const TEXTS = ["caption", "negative_caption"];
const MOST_REPEATED = 40;
const COUNT = new Intl.NumberFormat("en", { notation: "compact", compactDisplay: "long", maximumSignificantDigits: 3 });

export class Form {
  #catalogue;
  #counters;
  #isLocked = false;

  /** catalogue: the answer to GET /models; say: tells those who do not see the page. */
  constructor(catalogue, say) {
    this.#catalogue = catalogue;
    const names = catalogue.families.map(({ name }) => name);
    const options = { family: names, size: [], sampler: catalogue.samplers, format: catalogue.formats };
    byId("fields").replaceChildren(
      ...NUMBERS.map((name) => this.#number(name)),
      ...CHOICES.map((name) => this.#choice(name, options[name])),
    );
    byId("family").closest(".field").hidden = names.length < 2;
    byId("family").addEventListener("change", () => this.#suit());
    byId("seed").after(...this.#seedButtons());
    this.#counters = TEXTS.map((name) => new Counter(name, catalogue.parameters[name].longest, say));
    this.#lock(false);
    this.#suit();
    for (const name of TEXTS) byId(name).addEventListener("keydown", (event) => this.#enter(event));
    byId("form").addEventListener("input", ({ target }) => this.#calm(target));
  }

  /** Let people in, or in again. */
  open() {
    byId("controls").disabled = false;
    this.#count();
    byId("caption").focus();
  }

  /** What is asked for, under the API's names. A seed that is not locked is drawn anew each time. */
  values() {
    if (this.#isSeedFree()) this.#roll();
    const [width, height] = byId("size").value.split("x");
    const names = [...TEXTS, ...NUMBERS, "sampler", "format", "family"];
    return { ...Object.fromEntries(names.map((name) => [name, byId(name).value.trim()])), width, height };
  }

  /** Whether every field holds what the server allows; each that does not says so, and the first has the focus. */
  check() {
    const wrong = [...TEXTS.filter((name) => !this.#fits(name)), ...NUMBERS.filter((name) => !this.#isValid(name))];
    this.complain(wrong.map((name) => ({
      parameter: name,
      received: byId(name).value || null,
      allowed: this.#catalogue.parameters[name].description,
    })));
    return !wrong.length;
  }

  /** Take parameters over into the fields; the seed is then locked. */
  take(parameters) {
    const isServed = this.#catalogue.families.some(({ name }) => name === parameters.family);
    if (isServed) byId("family").value = parameters.family;
    this.#suit();
    byId("size").value = `${parameters.width}x${parameters.height}`;
    for (const name of [...TEXTS, ...NUMBERS, "sampler", "format"]) byId(name).value = parameters[name] ?? "";
    // What the server has no more gives way to what it has.
    for (const choice of CHOICES.map(byId)) choice.selectedIndex = Math.max(choice.selectedIndex, 0);
    this.#lock(true);
    this.#count();
    byId("settings").open = true;
    byId("caption").focus();
  }

  /** Put each problem next to the field that it is about. Returns whether all of them had one. */
  complain(details) {
    let isAtHome = true;
    for (const { parameter, received, allowed } of details) {
      const name = ["width", "height"].includes(parameter) ? "size" : parameter;
      const [field, place] = [byId(name), byId(`${name}-error`)];
      if (!place || place.closest("[hidden]")) {
        isAtHome = false;
        continue;
      }
      place.textContent = asked(received, allowed);
      field.setAttribute("aria-invalid", "true");
      if (byId("settings").contains(field)) byId("settings").open = true;
    }
    const first = byId("form").querySelector('[aria-invalid="true"]');
    first?.focus();
    first?.closest(".field").scrollIntoView({ block: "nearest" }); // with what is said below it
    return isAtHome;
  }

  /** Forget the problems. */
  calm() {
    for (const field of byId("form").querySelectorAll("[aria-invalid]")) this.#calm(field);
  }

  #calm(field) {
    field.removeAttribute("aria-invalid");
    byId(`${field.id}-error`).textContent = "";
  }

  #fits(name) {
    const length = size(byId(name).value);
    return length <= this.#catalogue.parameters[name].longest && (length > 0 || name !== "caption");
  }

  #isValid(name) {
    return byId(name).validity.valid || (name === "seed" && this.#isSeedFree());
  }

  /** Whether what the field of the seed holds will be replaced. */
  #isSeedFree() {
    return !this.#isLocked || byId("seed").value === "";
  }

  #count() {
    for (const counter of this.#counters) counter.count();
  }

  #enter(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!event.repeat) byId("form").requestSubmit();
  }

  /** Show what the chosen family has. */
  #suit() {
    const family = this.#catalogue.families.find(({ name }) => name === byId("family").value);
    const count = family.parameters ? `, ${COUNT.format(family.parameters)} parameters` : "";
    byId("family-line").textContent = family.name + count;
    const sizes = family.sizes.map(({ width, height }) => new Option(`${width} × ${height}`, `${width}x${height}`));
    byId("size").replaceChildren(...sizes);
    byId("examples").replaceChildren(...(family.examples ?? []).map((caption) => this.#example(caption)));
  }

  #number(name) {
    const { minimum: min, maximum: max, default: usual, type, description } = this.#catalogue.parameters[name];
    const [step, inputMode] = type === "integer" ? [1, "numeric"] : ["any", "decimal"];
    const field = make("input", { id: name, name, type: "number", min, max, step, inputMode, title: description });
    field.value = usual ?? "";
    return this.#field(name, field, description);
  }

  #choice(name, options) {
    const field = make("select", { id: name, name });
    field.append(...options.map((option) => new Option(option, option)));
    const usual = this.#catalogue.parameters[name]?.default;
    if (usual) field.value = usual;
    return this.#field(name, field);
  }

  /** limits: what those hear who do not see the title. */
  #field(name, field, limits = "") {
    const error = make("p", { id: `${name}-error`, className: "error", role: "alert" });
    const hint = make("p", { id: `${name}-hint`, className: "unseen", textContent: limits });
    field.setAttribute("aria-describedby", `${hint.id} ${error.id}`);
    const label = make("label", { htmlFor: name, textContent: words(name) });
    return make("div", { className: "field" }, label, make("div", { className: "together" }, field), hint, error);
  }

  #seedButtons() {
    const dice = make("button", { type: "button", id: "new-seed", className: "plain" }, icon("dice"));
    dice.title = "Another seed, and keep it";
    dice.setAttribute("aria-label", "Another seed");
    dice.addEventListener("click", () => {
      this.#roll();
      this.#lock(true);
    });
    const lock = make("button", { type: "button", id: "keep-seed", className: "plain", title: "Keep this seed" });
    lock.setAttribute("aria-label", "Keep this seed");
    lock.addEventListener("click", () => this.#lock(!this.#isLocked));
    byId("seed").placeholder = "random";
    byId("seed").addEventListener("input", () => this.#lock(byId("seed").value !== ""));
    return [dice, lock];
  }

  #roll() {
    byId("seed").value = Math.floor(Math.random() * (this.#catalogue.parameters.seed.maximum + 1));
    this.#calm(byId("seed"));
  }

  #lock(isLocked) {
    this.#isLocked = isLocked;
    byId("keep-seed").setAttribute("aria-pressed", isLocked);
    byId("keep-seed").replaceChildren(icon(isLocked ? "lock" : "unlock"));
  }

  #example(caption) {
    const button = make("button", { type: "button", textContent: caption });
    button.addEventListener("click", () => {
      byId("caption").value = caption;
      this.#count();
      byId("form").requestSubmit();
    });
    return button;
  }
}

function asked(received, allowed) {
  const please = `Please give ${allowed}.`;
  const came = short(String(received ?? ""), MOST_REPEATED);
  return came ? `${came} will not do. ${please}` : please;
}

function icon(name) {
  const [svg, use] = ["svg", "use"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}
