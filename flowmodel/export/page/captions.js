// Prepares prompts for the caption tower: names for emoji, English for names in other languages, then BERT's tokens
// (https://huggingface.co/docs/tokenizers). What is lost is told in the words of flowmodel/text/prompts.py, which is the reference.

const ASCII = /^[\0-\x7f]*$/;

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

// Gives the English for a text that is the name or a keyword of an emoji (flowmodel/text/translation.py).
export class Translator {
  constructor(table) {
    this.english = new Map();
    for (const [english, own] of Object.entries(table)) {
      for (const words of Object.values(own)) for (const word of words) this.english.set(word, english);
    }
  }

  translate(text) {
    const [name] = text.split(",", 1), found = this.english.get(name.normalize("NFC").trim().toLowerCase());
    return found === undefined ? text : found + text.slice(name.length);
  }
}

// Prepares prompts for a tower.
export class Reader {
  // `table` has the translations, or is undefined; `languages` are those of the training captions.
  constructor({ tokenizer, names, table, languages = ["en"] }) {
    this.tokenizer = tokenizer;
    this.emoji = new EmojiReplacer(names);
    this.table = table;
    this.isEnglish = languages.every((language) => language === "en" || language === "en-gb");
  }

  named(prompt) {
    return ASCII.test(prompt) ? prompt : this.emoji.replace(prompt);
  }

  // The text to encode for a prompt.
  text(prompt) {
    const named = this.named(prompt);
    if (ASCII.test(named) || !this.table) return named;
    this.translator ??= new Translator(this.table);
    return this.translator.translate(named);
  }

  // Messages about prompts: `refusal`, a line if one can't be sampled, else `notes`, lines.
  read(prompts) {
    const notes = new Set();
    for (const prompt of prompts) {
      const text = this.text(prompt), shown = shortened(prompt), { unknown, words, isCut } = this.tokenizer.take(text);
      if (!prompt.trim()) return { refusal: "prompt '': it is empty; describe an icon, such as 'red heart'" };
      if (unknown >= words) return { refusal: `prompt ${shown}: the caption encoder knows none of its words; write it in English` };
      if (this.isEnglish && !isLatin(text)) {
        notes.add(`${shown} is hardly understood, because the caption encoder was trained on English; write it in English`);
      } else if (unknown) {
        notes.add(`${shown} has words that the caption encoder does not know; they are ignored`);
      }
      if (text !== this.named(prompt)) notes.add(`${shown} is read as ${shortened(text)}`);
      if (isCut) notes.add(`${shown} exceeds the limit of the caption encoder; only its first ${words} tokens are used`);
    }
    return { notes: [...notes] };
  }
}

function shortened(text) {
  const signs = Array.from(text);
  return `'${signs.length <= 60 ? text : `${signs.slice(0, 59).join("")}…`}'`;
}

// Whether most letters are Latin.
function isLatin(text) {
  const letters = text.match(/\p{L}/gu) ?? [];
  return 2 * letters.filter((letter) => /\p{Script=Latin}/u.test(letter)).length >= letters.length;
}

const IDEOGRAPHS = /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

export class Tokenizer {
  constructor(description, maxTokens) {
    this.vocabulary = new Map(Object.entries(description.model.vocab));
    this.maxTokens = maxTokens;
  }

  encode(text) {
    return this.take(text).ids;
  }

  // Its tokens between markers; the number of unknown ones; the number without markers; whether it was truncated.
  take(text) {
    const plain = Array.from(text.replace(/[\t\n\r]/g, " ").replace(/[\0\ufffd\p{C}]/gu, "").replace(/\s/gu, " "))
      .join("").replace(IDEOGRAPHS, " $& ").normalize("NFD").replace(/\p{Mn}/gu, "");
    const lower = Array.from(plain, (sign) => sign.toLowerCase()).join("");
    const words = lower.replace(/[!-/:-@[-`{-~\p{P}]/gu, " $& ").split(/\s+/u).filter(Boolean);
    const ids = words.flatMap((word) => this.pieces(Array.from(word)));
    const id = (token) => this.vocabulary.get(token), kept = ids.slice(0, this.maxTokens - 2);
    return {
      ids: [id("[CLS]"), ...kept, id("[SEP]")], unknown: kept.filter((each) => each === id("[UNK]")).length, words: kept.length,
      isCut: kept.length < ids.length,
    };
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
