// How many tokens a text has left before its end is cut off, by the server's own tokenizer.

import { get } from "./api.js";
import { byId, size } from "./elements.js";

const PATIENCE_MILLISECONDS = 200;
const FEW = 10;

export class Counter {
  #field;
  #place;
  #say;
  #longest;
  #isWarning = false;
  #timer;

  /**
   * name: of the field; `<name>-tokens` shows the count; longest: how many characters the server reads;
   * say: tells a warning to those who do not see it.
   */
  constructor(name, longest, say) {
    this.#longest = longest;
    this.#say = say;
    this.#field = byId(name);
    this.#place = byId(`${name}-tokens`);
    this.#field.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.count(), PATIENCE_MILLISECONDS);
    });
  }

  /** Show the count of what the field holds now. */
  async count() {
    const caption = this.#field.value;
    if (size(caption) > this.#longest) {
      this.#tell(`Too long: at most ${this.#longest} characters.`, true);
      return;
    }
    const counted = caption.trim() && await get("tokens", { caption }).catch(() => undefined);
    if (caption === this.#field.value) this.#show(counted);
  }

  /** What is counted; nothing where there is nothing to count, or no answer. */
  #show(counted) {
    if (!counted) {
      this.#tell("", false);
      return;
    }
    const { tokens, most, dropped } = counted;
    const left = `${most - tokens} of ${most} tokens left`;
    const text = dropped ? `Too long by: “${dropped}”. The networks read ${most} tokens.` : left;
    this.#tell(text, Boolean(dropped) || most - tokens < FEW);
  }

  #tell(text, isWarning) {
    this.#place.textContent = text;
    if (isWarning && !this.#isWarning) this.#say(text);
    this.#isWarning = isWarning;
    this.#place.classList.toggle("warning", isWarning);
  }
}
