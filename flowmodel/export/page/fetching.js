// Files of the page's folder. What a browser has kept of them is asked for again, or files of two exports could come together.
const ASKED = { cache: "no-cache" };

// The bytes of a file that the description `files` lists, held against its size and digest.
export async function fetchListed(base, name, files) {
  const answer = await fetch(new URL(name, base), ASKED);
  if (!answer.ok) throw new Error(`${name} can't be loaded (${answer.status})`);
  const bytes = await answer.arrayBuffer();
  if (bytes.byteLength !== files[name].bytes) throw new Error(`${name} was changed or cut; export the model again`);
  if (crypto.subtle) { // where there is a secure connection, and on this machine itself
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== files[name].sha256) throw new Error(`${name} was changed or cut; export the model again`);
  }
  return bytes;
}

// What a JSON file says; where a server refuses, it may have said why in a line of text.
export async function fetchJson(address) {
  const answer = await fetch(address, ASKED);
  if (answer.ok) return answer.json();
  const isText = (answer.headers.get("content-type") ?? "").startsWith("text/plain");
  throw new Error(isText ? (await answer.text()).trim() : `${address.pathname} can't be loaded (${answer.status})`);
}
