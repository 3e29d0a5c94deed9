// The elements of a page.

/** The element of that id. */
export const byId = (id) => document.getElementById(id);

/** A new element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** How many characters a text has, of which an emoji is one, without the spaces around it. */
export const size = (text) => [...text.trim()].length;

const TITLES = { guidance_scale: "Guidance", n: "Pictures" };

/** A parameter's name as people read it. */
export const words = (name) => TITLES[name] ?? (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ");

/** What a server said, as a sentence; nothing, if it said nothing. */
export const sentence = (said) => said && `${said[0].toUpperCase()}${said.slice(1)}.`.replace(/\.\.$/, ".");

/** A text, or the beginning of one that has more characters than that. */
export function short(text, most) {
  const characters = [...text];
  return characters.length > most ? `${characters.slice(0, most).join("")} …` : text;
}
