// The documentation, made of what the server says of itself in openapi.json; GET requests can be tried.

import { KEY_REFUSED, address, get, key } from "./api.js";
import { announce } from "./banner.js";
import { byId, make } from "./elements.js";
import { askForKey } from "./lock.js";

const api = await description();

async function description() {
  for (;;) {
    try {
      return await get("openapi.json");
    } catch (problem) {
      if (problem.type !== KEY_REFUSED) {
        announce(problem.message);
        throw problem;
      }
      await askForKey(problem.message);
    }
  }
}

function resolve(schema) {
  const { anyOf, allOf, $ref, ...rest } = schema;
  const meant = (anyOf ?? allOf)?.find(({ type }) => type !== "null");
  const inner = $ref ? api.components.schemas[$ref.split("/").at(-1)] : meant;
  return inner ? { ...resolve(inner), ...rest } : schema;
}

function typed(schema) {
  const { type, items, enum: choices, properties } = resolve(schema);
  if (choices) return choices.join(" | ");
  if (type === "array") return `array of ${typed(items ?? {})}`;
  const name = schema.$ref?.split("/").at(-1);
  return properties && name ? name : type ?? "anything";
}

function bounds(schema) {
  const { minimum, maximum, maxLength } = resolve(schema);
  if (maxLength !== undefined) return `at most ${maxLength} characters`;
  return [minimum, maximum].some((bound) => bound !== undefined) ? `${minimum ?? ""} to ${maximum ?? ""}` : "";
}

function table(caption, heads, rows) {
  const head = make("tr", {}, ...heads.map((text) => make("th", { textContent: text, scope: "col" })));
  const body = rows.map(([first, ...others]) => make("tr", {},
    make("th", { scope: "row" }, make("code", { textContent: first })),
    ...others.map((text) => make("td", { textContent: text ?? "" }))));
  const group = make("div", { className: "scroll", tabIndex: 0, role: "group" },
    make("table", {}, make("caption", { textContent: caption }), make("thead", {}, head), make("tbody", {}, ...body)));
  group.setAttribute("aria-label", caption);
  return group;
}

function fields(caption, list) {
  const rows = list.map(({ name, schema, required, description, example }) => {
    const whole = resolve(schema);
    const usual = required ? "needed" : written(whole.default);
    const such = written(example ?? whole.examples?.[0]);
    return [name, typed(schema), bounds(schema), usual, such, description ?? whole.description];
  });
  return table(caption, ["name", "type", "limits", "default", "example", "meaning"], rows);
}

function written(value = "") {
  const text = typeof value === "string" ? value : JSON.stringify(value, undefined, 1);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function members(schema) {
  const { properties = {}, required = [] } = resolve(schema);
  return Object.entries(properties).map(([name, own]) => ({ name, schema: own, required: required.includes(name) }));
}

function answers(responses) {
  const rows = Object.entries(responses).map(([status, { description, content = {} }]) => {
    const kinds = Object.entries(content).map(([kind, { schema }]) => (schema ? `${kind}: ${typed(schema)}` : kind));
    return [status, kinds.join(", "), description];
  });
  return table("Answers", ["status", "content", "meaning"], rows);
}

/** What goes wrong, as the server tells of it. */
function failures(responses) {
  const told = Object.entries(responses).flatMap(([status, { content = {} }]) => {
    const examples = Object.values(content["application/json"]?.examples ?? {});
    return examples.map(({ value }) => `${status} ${JSON.stringify(value, undefined, 2)}`);
  });
  const text = make("pre", { tabIndex: 0, textContent: told.join("\n\n") });
  return make("details", {}, make("summary", { textContent: "Examples of errors" }), text);
}

function tryout(path, parameters) {
  const inputs = parameters.filter((parameter) => parameter.in !== "header").map(({ name, schema, required }) => {
    const whole = resolve(schema);
    const example = whole.examples?.[0] ?? "";
    const placeholder = written(whole.default) || `such as ${written(example)}`;
    const input = make("input", { name, required, autocomplete: "off", placeholder, value: required ? example : "" });
    return make("label", {}, make("span", { textContent: name }), input);
  });
  const answer = make("div", { className: "answer", role: "status" });
  const button = make("button", { textContent: `GET ${path}` });
  const form = make("form", {}, make("div", { className: "inputs" }, ...inputs), button, answer);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const query = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
    const named = path.slice(1).replace(/\{(\w+)\}/, (_, name) => {
      const { [name]: value } = query;
      delete query[name];
      return encodeURIComponent(value);
    });
    send(address(named, query), answer);
  });
  return make("details", { className: "try" }, make("summary", { textContent: "Try it" }), form);
}

async function send(link, place) {
  const told = make("p", {}, make("a", { href: link, textContent: link }));
  place.replaceChildren(told);
  try {
    const response = await fetch(link, { headers: key.headers() });
    told.append(` ${response.status}`);
    const type = response.headers.get("content-type") ?? "";
    if (type.startsWith("image/")) place.append(image(await response.blob()));
    else await stream(response, place.appendChild(make("pre", { tabIndex: 0 })), type);
  } catch {
    told.append(" The server cannot be reached.");
  }
}

function image(file) {
  const src = URL.createObjectURL(file);
  return make("img", { src, alt: "The answer", onload: () => URL.revokeObjectURL(src) });
}

/** Show a text as it comes; JSON when it is whole. */
async function stream(response, place, type) {
  if (type.includes("json")) {
    place.textContent = JSON.stringify(await response.json(), undefined, 2);
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) place.textContent += part.value;
}

/** How an operation takes an API key. */
function lock(security) {
  const schemes = security.flatMap(Object.keys).map((name) => api.components.securitySchemes[name]);
  return make("p", { textContent: `Needs an API key: ${schemes.map((scheme) => scheme.description).join(", or ")}.` });
}

function operation(path, method, { description: long, summary, parameters = [], requestBody, responses, security }) {
  const id = `${method}${path.replaceAll("/", "-")}`;
  const title = `${method.toUpperCase()} ${path}`;
  byId("contents").append(make("a", { href: `#${id}`, textContent: title }));
  const body = requestBody?.content["application/json"]?.schema;
  const told = make("p", { textContent: long ?? summary });
  const section = make("section", { id }, make("h2", { textContent: title }), told);
  if (security) section.append(lock(security));
  if (parameters.length) section.append(fields("Parameters", parameters));
  if (body) section.append(fields("JSON body", members(body)));
  section.append(answers(responses), failures(responses));
  if (method === "get") section.append(tryout(path, parameters));
  section.setAttribute("aria-label", title);
  return section;
}

for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, said] of Object.entries(methods)) byId("operations").append(operation(path, method, said));
}
byId("operations").append(make("section", {}, make("h2", { textContent: "Shapes of JSON" }),
  ...Object.keys(api.components.schemas)
    .map((name) => [name, members({ $ref: `#/components/schemas/${name}` })])
    .filter(([, list]) => list.length)
    .map(([name, list]) => fields(name, list))));
