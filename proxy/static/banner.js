// The line at the top of a page, for what concerns all of it.

import { byId } from "./elements.js";

/** Say it there; nothing hides the line. */
export function announce(text) {
  byId("banner").textContent = text;
  byId("banner").hidden = !text;
}
