// How many tokens a text has left before its end is cut off, by the server's own tokenizer.

import { get } from "./api.js";
import { byId } from "./elements.js";

const PATIENCE_MILLISECONDS = 200;
const FEW = 10;

export class Counter {
  #field;
  #place;
  #say;
  #isWarning = false;
  #timer;

  /** name: of the field; the element `<name>-tokens` shows the count; say: tells a warning to those who do not see it. */
  constructor(name, say) {
    this.#say = say;
    this.#field = byId(name);
    this.#place = byId(`${name}-tokens`);
    this.#field.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.count(), PATIENCE_MILLISECONDS);
    });
    this.count();
  }

  /** Show the count of what the field holds now. */
  async count() {
    const caption = this.#field.value;
    if (!caption.trim()) {
      this.#place.replaceChildren();
      return;
    }
    const counted = await get("tokens", { caption }).catch(() => undefined);
    if (!counted || caption !== this.#field.value) return;
    const { tokens, most, dropped } = counted;
    this.#place.textContent = dropped
      ? `Too long by: “${dropped}”. The networks read ${most} tokens.`
      : `${most - tokens} of ${most} tokens left`;
    this.#warn(Boolean(dropped) || most - tokens < FEW);
  }

  #warn(isWarning) {
    if (isWarning && !this.#isWarning) this.#say(this.#place.textContent);
    this.#isWarning = isWarning;
    this.#place.classList.toggle("warning", isWarning);
  }
}
