// How many tokens a text has left before its end is cut off, by the server's own tokenizer.

import { get } from "./api.js";
import { byId, short, size } from "./elements.js";

const PATIENCE_MILLISECONDS = 200;
const FEW = 10;
const MOST_REPEATED = 120;
// How much there is to worry about.
const [NOTHING, NEARLY_FULL, TOO_LONG] = [0, 1, 2];

export class Counter {
  #field;
  #place;
  #say;
  #longest;
  #worry = NOTHING;
  #timer;

  /**
   * name: of the field; `<name>-tokens` shows the count; longest: how many characters the server reads;
   * say: tells it to those who do not see it, when there is more to worry about than before.
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
      this.#tell(`Too long: at most ${this.#longest} characters.`, TOO_LONG);
      return;
    }
    const counted = caption.trim() && await get("tokens", { caption }).catch(() => undefined);
    if (caption === this.#field.value) this.#show(counted);
  }

  /** What is counted; nothing where there is nothing to count, or no answer. */
  #show(counted) {
    if (!counted) {
      this.#tell("", NOTHING);
      return;
    }
    const { tokens, most, dropped } = counted;
    const left = most - tokens;
    const end = short(dropped, MOST_REPEATED);
    if (dropped) this.#tell(`Too long by: “${end}”. The networks read ${most} tokens.`, TOO_LONG);
    else this.#tell(`${left} of ${most} tokens left`, left < FEW ? NEARLY_FULL : NOTHING);
  }

  #tell(text, worry) {
    this.#place.textContent = text;
    if (worry > this.#worry) this.#say(text);
    this.#worry = worry;
    this.#place.classList.toggle("warning", worry > NOTHING);
  }
}
