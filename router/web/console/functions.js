// Answers of functions: by the page's own handler, or by the mock of the settings.

/**
 * Answer a call. Returns the text for the agent and who gave it.
 *
 * `window.handleFunctionCall(call, respond)` is asked first. It returns the answer, or a promise of it, or calls
 * `respond` with it; a call that it leaves alone (`undefined`) is answered by its mock. Without a mock the console
 * waits for `respond`, and the router ends the wait.
 */
export async function answer(call, mocks) {
  const mock = mocks.has(call.name) ? { content: asText(mocks.get(call.name)), by: "mock" } : undefined;
  if (typeof window.handleFunctionCall !== "function") return mock ?? nobody(call);
  try {
    return { content: asText(await handled(call, mock)), by: "window.handleFunctionCall" };
  } catch (error) {
    if (error === LEFT_ALONE) return mock;
    return { content: asText({ error: String(error?.message ?? error) }), by: "window.handleFunctionCall", isFailed: true };
  }
}

const LEFT_ALONE = Symbol("left alone");

function handled(call, mock) {
  return new Promise((resolve, reject) => {
    const take = (response) => resolve(unwrapped(response));
    Promise.resolve()
      .then(() => window.handleFunctionCall(call, take))
      .then((value) => {
        if (value !== undefined) take(value);
        else if (mock) reject(LEFT_ALONE);
      }, reject);
  });
}

/** The React component's handlers respond with `{id, result}` or `{id, error}`. */
function unwrapped(response) {
  if (typeof response !== "object" || response === null || !("id" in response)) return response;
  if ("result" in response) return response.result;
  if ("content" in response) return response.content;
  return "error" in response ? { error: response.error } : response;
}

function nobody(call) {
  const error = `${call.name} has no mock answer in the settings, and this page has no window.handleFunctionCall`;
  return { content: asText({ error }), by: "nobody", isFailed: true };
}

/** Write an answer as the text that goes over the wire. */
export const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value) ?? "null");
