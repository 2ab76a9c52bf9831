// Files of the page's folder. Cached files are revalidated, because files of two exports could be mixed otherwise.
const ASKED = { cache: "no-cache" };
const CHANGED = "was changed or cut; export the model again";

async function asked(address) {
  const answer = await fetch(address, ASKED);
  if (answer.ok) return answer;
  // A server that refuses may give the reason in a line of text.
  const isText = (answer.headers.get("content-type") ?? "").startsWith("text/plain");
  throw new Error(isText ? (await answer.text()).trim() : `${address.pathname} can't be loaded (${answer.status})`);
}

export const fetchBytes = async (address) => (await asked(address)).arrayBuffer();
export const fetchJson = async (address) => (await asked(address)).json();

// Whether bytes have a digest. Only with a secure connection and on localhost can browsers tell.
async function isOf(digest, bytes) {
  if (!crypto.subtle) return true;
  const found = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(found, (byte) => byte.toString(16).padStart(2, "0")).join("") === digest;
}

// The bytes of a file that the description `files` lists, checked against its size and digest.
export async function fetchListed(base, name, files) {
  const bytes = await fetchBytes(new URL(name, base)), { bytes: size, sha256 } = files[name];
  if (bytes.byteLength !== size || !(await isOf(sha256, bytes))) throw new Error(`${name} ${CHANGED}`);
  return bytes;
}

// The description of an exported model, checked against its digest as flowmodel/runtime/model_folder.py does it: of the JSON
// without spaces and without the digest itself. It is taken from the text, because Python writes some numbers otherwise.
export async function fetchDescription(address) {
  const text = await (await asked(address)).text(), description = JSON.parse(text), { digest } = description;
  const rest = text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, "$1").replace(`"digest":"${digest}",`, "");
  if (!(await isOf(digest, new TextEncoder().encode(rest)))) throw new Error(`model.json ${CHANGED}`);
  return description;
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
