// Where the console connects: the backend and the endpoint, by the controls and by the page's query.

/** Facts that the router writes into the page. */
export const facts = JSON.parse(document.querySelector('meta[name="switchboard"]').content);

/** The backends, with the name that people read. */
export const BACKENDS = {
  openai: "OpenAI",
  deepgram: "Deepgram protocol",
  ...(facts.agent ? { agent: "Deepgram" } : {}),
};

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/; // RFC 9110, 5.6.2: a browser offers nothing else as a subprotocol.

/** Return the backend and the endpoint of the page's query. */
export function fromQuery() {
  const query = new URLSearchParams(location.search);
  const backend = query.get("backend")?.toLowerCase();
  return { backend: backend in BACKENDS ? backend : "openai", endpoint: query.get("endpoint")?.trim() ?? "" };
}

/** Write the backend and the endpoint into the page's query, so that a reload and a copied link keep them. */
export function toQuery({ backend, endpoint }) {
  const url = new URL(location.href);
  url.searchParams.set("backend", backend);
  if (endpoint) url.searchParams.set("endpoint", endpoint);
  else url.searchParams.delete("endpoint");
  history.replaceState(history.state, "", url);
}

/** Return the URL of the page's own router for a backend. */
export function ownUrl(backend) {
  const url = new URL(facts[backend], document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = url.hash = "";
  return url;
}

/** Return the URL to connect to. Throws an `Error` with a sentence for an endpoint that is none. */
export function target({ backend, endpoint }, turnDetection = "") {
  const url = endpoint ? parsed(endpoint) : ownUrl(backend);
  if (turnDetection) url.searchParams.set("turn_detection", turnDetection);
  return url;
}

/** Whether a URL leads to the router that served this page. */
export const isOwn = (url) => url.host === location.host;

/** Whether Settings for a URL may leave out what Deepgram's own backend needs. */
export const isSparse = (url) => isOwn(url) && !url.pathname.split("/").includes("deepgram");

/** Return the arguments of `new WebSocket` that carry a token: as a subprotocol, or in the query where it cannot be one. */
export function withToken(url, token) {
  if (!token) return [url.href];
  if (TOKEN.test(token)) return [url.href, ["token", token]];
  const longer = new URL(url);
  longer.searchParams.set("token", token);
  return [longer.href];
}

/** Return the headers that carry a token; a header cannot carry every text. */
export const asHeaders = (token) => (TOKEN.test(token) ? { Authorization: `Bearer ${token}` } : {});

function parsed(endpoint) {
  let url;
  try {
    url = new URL(endpoint);
  } catch {
    throw new Error(`The endpoint is not a URL: ${endpoint}`);
  }
  if (url.protocol === "http:" || url.protocol === "https:") url.protocol = url.protocol.replace("http", "ws");
  if (url.protocol !== "ws:" && url.protocol !== "wss:") {
    throw new Error(`The endpoint must begin with ws:// or wss://, not ${url.protocol}//`);
  }
  url.hash = "";
  if (url.protocol === "ws:" && location.protocol === "https:" && !isLoopback(url.hostname)) {
    throw new Error("This page came over https, so the browser connects to wss:// endpoints only.");
  }
  return url;
}

const isLoopback = (host) => host === "localhost" || host === "[::1]" || host.startsWith("127.");
