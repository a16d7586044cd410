/** Writes a value in the order of its text: scaffold as it is, decisions, numbers, strings. */
import { decide } from './decide.js';
import type { Desk } from './desk.js';
import { guided } from './guided.js';
import { numberGuide } from './number.js';
import { languageGuide, mustEscape, textGuide } from './strings.js';
import type { TokenTexts } from './token-texts.js';
import type { Choice, Guide, Member, Node } from './types.js';

type StringNode = Extract<Node, { kind: 'string' }>;

/** A string whose text is not known yet. */
export interface Blank {
  path: string;
  min: number;
  max: number;
}

/** Texts and blanks in turn become the texts of the blanks. */
export type FillBlanks = (parts: readonly (string | Blank)[]) => Promise<string[]>;

/** Digits and signs that numbers begin with. */
const numberStarts = '-0123456789'.split('');

const quoted = (key: string): string => JSON.stringify(key);

export class Writer {
  readonly choices: Choice[] = [];
  readonly #desk: Desk;
  readonly #texts: TokenTexts;
  readonly #fill: FillBlanks;
  readonly #onText: (text: string) => void;
  /** Adjoining strings are filled together: nothing is decided between them. */
  #parts: (string | Blank)[] = [''];

  /** @param onText called with all that is written, whenever there is more; none of it changes */
  constructor(
    desk: Desk,
    texts: TokenTexts,
    fill: FillBlanks,
    onText: (text: string) => void = () => {},
  ) {
    this.#desk = desk;
    this.#texts = texts;
    this.#fill = fill;
    this.#onText = onText;
  }

  /** The whole text. @param before what it begins with */
  async write(node: Node, before = ''): Promise<string> {
    this.#parts = [before];
    await this.#value(node, '', '');
    return this.#text();
  }

  #put(text: string): void {
    const last = this.#parts.length - 1;
    if (typeof this.#parts[last] === 'string') this.#parts[last] += text;
    else this.#parts.push(text);
    if (last === 0) this.#onText(this.#parts[0] as string);
  }

  /** All that is written, its blanks filled. */
  async #text(): Promise<string> {
    const texts = this.#parts.length > 1 ? await this.#fill(this.#parts) : [];
    let whole = '';
    for (const part of this.#parts) {
      const known =
        typeof part === 'string' ? part : await this.#enough(whole, part, texts.shift()!);
      whole += known;
    }
    this.#parts = [whole];
    this.#onText(whole);
    return whole;
  }

  /** A text cut to what the schema takes, or carried on until it does. */
  async #enough(before: string, { min, max, path }: Blank, found: string): Promise<string> {
    const end = mustEscape.exec(found)?.index ?? found.length;
    const text = [...found.slice(0, end)].slice(0, max).join('');
    const length = [...text].length;
    if (length >= min) return text;
    const guide = textGuide(min, max);
    return (
      text + (await guided(this.#desk, this.#texts, before + text, guide, path, String(length)))
    );
  }

  async #value(node: Node, lead: string, path: string): Promise<void> {
    switch (node.kind) {
      case 'choice':
        return this.#put(lead + (await this.#choose(node.texts, lead, path)));
      case 'number': {
        const number = await this.#guided(lead, numberGuide(node.range), path);
        return this.#put(lead + number.trimStart());
      }
      case 'string':
        return this.#string(node, lead, path);
      case 'array':
        return this.#array(node, lead, path);
      case 'object':
        return this.#object(node.members, lead, path);
      case 'record':
        return this.#record(node, lead, path);
      case 'union':
        return this.#union(node.branches, lead, path);
    }
  }

  /** @param lead is left to the model's own tokens: a space is mostly part of what follows it */
  async #guided(lead: string, guide: Guide, path: string): Promise<string> {
    const text = await this.#text();
    const known = guide.next(guide.start, ' ') === undefined ? text + lead : text;
    return guided(this.#desk, this.#texts, known, guide, path);
  }

  /** One of several texts, and what of it was taken. */
  async #choose(texts: readonly string[], lead: string, path: string): Promise<string> {
    if (texts.length === 1) return texts[0];
    // '1' is the beginning of '12', but with what follows it is not.
    const sorted = [...texts].sort(); // right behind a text come those that it begins
    const begun = new Set(sorted.filter((text, i) => sorted.at(i + 1)?.startsWith(text)));
    const open = (text: string) => begun.has(text);
    const endings = texts.flatMap((text, i) =>
      (open(text) ? [',', '}', ']', '\n'] : ['']).map((end) => ({ text: lead + text + end, i })),
    );
    const known = await this.#text();
    const ids = await this.#desk.encodeAll(endings.map(({ text }) => known + text));
    const { index, probability } = await decide(this.#desk, ids);
    const text = texts[endings[index].i];
    this.choices.push({ path, text, probability });
    return text;
  }

  async #string({ min, max, language }: StringNode, lead: string, path: string): Promise<void> {
    this.#put(`${lead}"`);
    if (language === undefined) this.#parts.push({ path, min, max });
    else this.#put(await this.#guided('', languageGuide(language, min, max)!, path));
    this.#put('"');
  }

  async #array(node: Extract<Node, { kind: 'array' }>, lead: string, path: string): Promise<void> {
    const { min, max, first, rest } = node;
    this.#put(`${lead}[`);
    for (let i = 0; i < max; i++) {
      const item = first[i] ?? rest!;
      if (i >= min) {
        const on = i > 0 ? [','] : [...new Set(openings(item, ''))];
        const taken = await this.#choose([']', ...on], '', `${path}/${i}`);
        if (taken === ']') break;
      }
      if (i > 0) this.#put(',');
      await this.#value(item, i > 0 ? ' ' : '', `${path}/${i}`);
    }
    this.#put(']');
  }

  /** Which key comes next is one decision: those left out are never looked at again. */
  async #object(members: readonly Member[], lead: string, path: string): Promise<void> {
    this.#put(`${lead}{`);
    for (let next = 0, first = true; ; first = false) {
      const candidates = following(members, next);
      const texts = candidates.map(({ key }) => `${first ? '' : ', '}${quoted(key)}:`);
      const closes = candidates.length === 0 || !candidates.at(-1)!.required;
      const taken = await this.#choose(closes ? [...texts, '}'] : texts, '', path);
      this.#put(taken);
      const index = texts.indexOf(taken);
      if (index < 0) return;
      const { key, node } = candidates[index];
      await this.#value(node, ' ', `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
      next += index + 1;
    }
  }

  /** Keys are as free as other strings. */
  async #record(node: Extract<Node, { kind: 'record' }>, lead: string, path: string) {
    this.#put(`${lead}{`);
    for (let i = 0; i < node.max; i++) {
      const taken = await this.#choose(['}', i === 0 ? '"' : ', "'], '', path);
      if (taken === '}') break;
      this.#put(taken);
      this.#parts.push({ path, min: 1, max: node.key });
      this.#put('":');
      await this.#value(node.value, ' ', `${path}/*`);
    }
    this.#put('}');
  }

  async #union(branches: readonly Node[], lead: string, path: string): Promise<void> {
    const starts = branches.map((branch) => openings(branch, lead));
    const all = [...new Set(starts.flat())];
    const text = await this.#choose(all, '', path);
    await this.#value(branches[starts.findIndex((list) => list.includes(text))], lead, path);
  }
}

/** Members that may come next: up to the first that must. */
function following(members: readonly Member[], from: number): readonly Member[] {
  const must = members.findIndex(({ required }, i) => i >= from && required);
  return members.slice(from, must < 0 ? members.length : must + 1);
}

/** What a value may begin with: known text up to where it is first open. */
export function openings(node: Node, lead: string): string[] {
  switch (node.kind) {
    case 'choice':
      return node.texts.map((text) => lead + text);
    case 'number': {
      const guide = numberGuide(node.range);
      const able = numberStarts.filter((unit) => guide.next('', unit) !== undefined);
      return able.map((unit) => lead + unit);
    }
    case 'string':
      return [`${lead}"`];
    case 'array':
      return [`${lead}[`];
    case 'record':
      return [`${lead}{`];
    case 'union':
      return node.branches.flatMap((branch) => openings(branch, lead));
    case 'object': {
      const candidates = following(node.members, 0);
      const texts = candidates.flatMap(({ key, node: value }) => {
        const start = `${lead}{${quoted(key)}:`;
        return value.kind === 'choice' ? openings(value, ' ').map((text) => start + text) : [start];
      });
      return candidates.at(-1)?.required ? texts : [...texts, `${lead}{}`];
    }
  }
}
