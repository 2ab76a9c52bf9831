// Short forms for the page.

export const element = (id) => document.getElementById(id);

// make("p", {className: "hint"}, "words", anotherElement)
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

export function button(words, pressed, properties = {}) {
  const made = make("button", { type: "button", ...properties }, words);
  made.addEventListener("click", pressed);
  return made;
}

export const percent = (share) => `${Math.round(100 * share)}%`;
