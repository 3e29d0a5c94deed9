// Asking for an API key, on a page that has the form for it.

import { key } from "./api.js";
import { announce } from "./banner.js";
import { byId } from "./elements.js";

/** Until somebody has given a key; whether it is right is the server's to say. */
export function askForKey(reason) {
  announce(`Sorry, ${reason}.`);
  byId("key-form").hidden = false;
  byId("key").focus();
  return new Promise((resolve) => {
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      key.give(byId("key").value.trim());
      byId("key").value = "";
      byId("key-form").hidden = true;
      announce("");
      resolve();
    }, { once: true });
  });
}
