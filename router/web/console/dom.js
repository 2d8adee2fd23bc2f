// Elements, and how times are written.

/** Return the element with an id. */
export const byId = (id) => document.getElementById(id);

/** Make an element. A function is a listener, `data` is a dataset, `text` its text; the rest are attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") element.textContent = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Make an SVG element. */
export function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Write a time in milliseconds as a person reads it: `420 ms`, `1.42 s`. */
export function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

/** Write a time of day. */
export function clock(date = new Date()) {
  return date.toLocaleTimeString([], { timeStyle: "medium" });
}

/** Write a number with its noun. */
export const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
