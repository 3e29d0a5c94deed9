// Asking for an API key, on a page that has a banner.

import { key } from "./api.js";
import { announce } from "./banner.js";
import { byId, make } from "./elements.js";

/** Until somebody has given a key; whether it is right is the server's to say. */
export function askForKey(reason) {
  announce(`Sorry, ${reason}.`);
  const field = make("input", {
    id: "key",
    type: "password",
    autocomplete: "off",
    spellcheck: false,
    required: true,
    pattern: "\\s*[!-~]+\\s*", // what a header can carry
  });
  const form = make("form", { id: "key-form", className: "actions", ariaLabel: "API key" },
    make("label", { htmlFor: field.id, textContent: "API key" }),
    field,
    make("button", { className: "primary", textContent: "Use it" }),
    make("p", { className: "hint", textContent: "This tab keeps it until you close it." }));
  byId("banner").after(form);
  field.focus();
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      key.give(field.value.trim());
      form.remove();
      announce("");
      resolve();
    });
  });
}
