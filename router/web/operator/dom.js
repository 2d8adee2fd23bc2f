// Elements, and how figures are written.

/** Return the element with an id. */
export const byId = (id) => document.getElementById(id);

/** Make an element. A function is a listener, `text` its text; the rest are attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") element.textContent = value;
    else if (typeof value === "function") element.addEventListener(name, value);
    else if (value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Make an SVG element. */
export function makeSvg(tag, attributes = {}, text = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text != null) element.textContent = text;
  return element;
}

/** Set a text, if it differs: a screen reader and the selection notice every change. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Write seconds as a person reads them: `42 s`, `7 min`, `3 h 05 min`. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** Write milliseconds: `420 ms`, `1.42 s`. */
export const milliseconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`);

/** Write dollars with as many digits as they need. */
export const dollars = (usd) => `$${usd.toFixed(usd === 0 || usd >= 1 ? 2 : usd >= 0.01 ? 3 : 5)}`;

/** Write bytes: `12 MB`. */
export const bytes = (n) => (n < 1e6 ? `${Math.round(n / 1e3)} kB` : `${Math.round(n / 1e6)} MB`);

/** Write a time of day. */
export const clock = (unix) => new Date(unix * 1000).toLocaleTimeString([], { timeStyle: "short" });
