// Everything that is asked of the server.
export const COVERAGES = [0.8, 0.85, 0.9, 0.95, 0.99];
const AT_ONCE = 8, REQUESTS = 2, TRIES = 60;

let token = "";
try { token = sessionStorage.getItem("token") ?? ""; } catch { /* storage may be forbidden */ }

export function useToken(given) {
  token = given;
  try { sessionStorage.setItem("token", given); } catch { /* then it lasts as long as the page */ }
}

export class Fault extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function ask(path, options = {}, busy = () => {}) {
  for (let tries = 0; ; tries += 1) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(path, { ...options, headers });
    if (answer.ok) return answer;
    if (answer.status === 429 && tries < TRIES) {
      busy();
      const seconds = Number(answer.headers.get("retry-after")) || 1;
      await new Promise((go) => setTimeout(go, 1000 * seconds * (0.5 + Math.random())));
      continue;
    }
    const said = await answer.json().catch(() => ({ error: answer.statusText }));
    throw new Fault(answer.status, said.error);
  }
}

export const info = async () => (await ask("info")).json();

const form = (items) => {
  const data = new FormData();
  for (const item of items) data.append("file", item.file, item.name);
  return data;
};

export const sample = async (number) => (await ask(`samples/${number}`)).blob();

export async function heat(item, label) {
  const answer = await ask(`explain?label=${encodeURIComponent(label)}`, { method: "POST", body: form([item]) });
  return answer.blob();
}

// Answers items in groups that the server takes, two requests at a time; `tell` is called after each group.
export async function predict(items, limits, sets, tell, busy) {
  const query = sets ? `?top=5&${COVERAGES.map((c) => `coverage=${c}`).join("&")}` : "?top=5";
  const waiting = groups(items, limits);
  const work = async () => {
    for (let group; (group = waiting.shift()); ) {
      try {
        const answer = await (await ask(`predict${query}`, { method: "POST", body: form(group) }, busy)).json();
        group.forEach((item, i) => { item.result = answer.results[i]; });
      } catch (error) {
        for (const item of group) item.result = { error: error.message, gone: !(error instanceof Fault) };
        if (error.status === 422 && group.length > 1) {
          // not one of them can be read: each has a reason of its own
          waiting.unshift(...group.map((item) => [item]));
          continue;
        }
      }
      tell(group);
    }
  };
  await Promise.all(Array.from({ length: REQUESTS }, work));
}

function groups(items, limits) {
  const most = Math.min(AT_ONCE, limits.max_files), room = limits.max_bytes - 16384;
  const found = [];
  let group = [], bytes = 0;
  for (const item of items) {
    if (group.length && (group.length === most || bytes + item.file.size > room)) {
      found.push(group);
      [group, bytes] = [[], 0];
    }
    group.push(item);
    bytes += item.file.size + 512;
  }
  if (group.length) found.push(group);
  return found;
}
