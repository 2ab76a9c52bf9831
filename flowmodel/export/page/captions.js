// Prompts as the caption tower takes them: names in place of emoji, then BERT's tokens (https://huggingface.co/docs/tokenizers).

export class EmojiReplacer {
  constructor(names) {
    this.names = new Map(Object.entries(names));
    this.longest = new Map();
    for (const written of this.names.keys()) {
      const signs = Array.from(written);
      this.longest.set(signs[0], Math.max(this.longest.get(signs[0]) ?? 0, signs.length));
    }
  }

  replace(text) {
    const signs = Array.from(text), parts = [];
    let plain = 0, at = 0, found = false;
    while (at < signs.length) {
      let length = Math.min(this.longest.get(signs[at]) ?? 0, signs.length - at);
      while (length > 0 && !this.names.has(signs.slice(at, at + length).join(""))) length--;
      if (length === 0) { at++; continue; }
      parts.push(signs.slice(plain, at).join(""), this.names.get(signs.slice(at, at + length).join("")));
      at += length;
      while (signs[at] === "\ufe0f") at++;
      plain = at;
      found = true;
    }
    return found ? [...parts, signs.slice(plain).join("")].join(" ").split(/\s+/u).filter(Boolean).join(" ") : text;
  }
}

const IDEOGRAPHS = /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

export class Tokenizer {
  constructor(description, maxTokens) {
    this.vocabulary = new Map(Object.entries(description.model.vocab));
    this.maxTokens = maxTokens;
  }

  encode(text) {
    const plain = Array.from(text.replace(/[\t\n\r]/g, " ").replace(/[\0\ufffd\p{C}]/gu, "").replace(/\s/gu, " "))
      .join("").replace(IDEOGRAPHS, " $& ").normalize("NFD").replace(/\p{Mn}/gu, "");
    const lower = Array.from(plain, (sign) => sign.toLowerCase()).join("");
    const words = lower.replace(/[!-/:-@[-`{-~\p{P}]/gu, " $& ").split(/\s+/u).filter(Boolean);
    const ids = words.flatMap((word) => this.pieces(Array.from(word)));
    const id = (token) => this.vocabulary.get(token);
    return [id("[CLS]"), ...ids.slice(0, this.maxTokens - 2), id("[SEP]")];
  }

  pieces(signs) {
    const unknown = [this.vocabulary.get("[UNK]")], ids = [];
    if (signs.length > 100) return unknown;
    for (let start = 0, end; start < signs.length; start = end) {
      const found = (stop) => this.vocabulary.get((start > 0 ? "##" : "") + signs.slice(start, stop).join(""));
      for (end = signs.length; end > start && found(end) === undefined;) end--;
      if (end === start) return unknown;
      ids.push(found(end));
    }
    return ids;
  }
}
