// Requests to the router. A token of the address is used, and taken out of the address bar.

const query = new URLSearchParams(location.search);
let token = query.get("token") ?? "";

if (token) history.replaceState(null, "", location.pathname);

/** The answer to a request was no success. */
export class Refused extends Error {
  constructor(status, text) {
    super(text || `status ${status}`);
    this.status = status;
  }
}

/** Use a token from now on. It is kept in this page alone. */
export function useToken(given) {
  token = given;
}

/** Request a path below `admin/`. Return the JSON of the answer; throw `Refused` where there is none. */
export async function request(path, method = "GET") {
  const headers = { Accept: "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(`admin/${path}`, { method, headers, cache: "no-store", credentials: "omit" });
  const text = await response.text();
  if (!response.ok) throw new Refused(response.status, text.trim());
  return JSON.parse(text);
}
