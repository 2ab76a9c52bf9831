// Files of the page's folder. Cached files are revalidated, because files of two exports could be mixed otherwise.
const ASKED = { cache: "no-cache" };

// The bytes of a file that the description `files` lists, checked against its size and digest.
export async function fetchListed(base, name, files) {
  const answer = await fetch(new URL(name, base), ASKED);
  if (!answer.ok) throw new Error(`${name} can't be loaded (${answer.status})`);
  const bytes = await answer.arrayBuffer();
  if (bytes.byteLength !== files[name].bytes) throw new Error(`${name} was changed or cut; export the model again`);
  if (crypto.subtle) { // available with a secure connection and on localhost
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== files[name].sha256) throw new Error(`${name} was changed or cut; export the model again`);
  }
  return bytes;
}

// What zlib has compressed.
export function unpacked(bytes) {
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}

// The content of a packed graph (flowmodel/runtime/packing.py).
export async function unpackedGraph(bytes) {
  const parts = new Uint8Array(await unpacked(bytes)), half = (parts.length + 1) >> 1, graph = new Uint8Array(parts.length);
  for (let i = 0; i < half; i++) graph[2 * i] = parts[i];
  for (let i = half; i < parts.length; i++) graph[2 * (i - half) + 1] = parts[i];
  return graph;
}

export async function fetchBytes(address) {
  const answer = await fetch(address, ASKED);
  if (!answer.ok) throw new Error(`${address.pathname} can't be loaded (${answer.status})`);
  return answer.arrayBuffer();
}

// The content of a JSON file. A server that refuses may give the reason in a line of text.
export async function fetchJson(address) {
  const answer = await fetch(address, ASKED);
  if (answer.ok) return answer.json();
  const isText = (answer.headers.get("content-type") ?? "").startsWith("text/plain");
  throw new Error(isText ? (await answer.text()).trim() : `${address.pathname} can't be loaded (${answer.status})`);
}
