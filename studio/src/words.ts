/** From tokens to words. A character may be spread over several tokens. Pure. */
import { answerEnd, type Moment, type Timeline } from './fold.js';

/** (tokens) What each adds to the text: `░` for a mask; a character comes with its last part. */
export function wordsOf({ texts, parts, mask }: Timeline, tokens: Int32Array): string[] {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let open = false;
  return Array.from(tokens, (token) => {
    const part = token === mask ? undefined : parts.get(token);
    // Bytes that never become a character are left out, as the server leaves them out.
    if (part && part.length > 0) {
      open = true;
      return decoder.decode(part, { stream: true }).replaceAll('\uFFFD', '');
    }
    if (part) return '';
    if (open) decoder.decode();
    open = false;
    return token === mask ? '░' : (texts.get(token) ?? '');
  });
}

/** The answer as text. */
export function textOf(timeline: Timeline, moment: Moment): string {
  const end = answerEnd(timeline, moment);
  const ends = timeline.start?.ends ?? [];
  const words = wordsOf(timeline, moment.tokens.subarray(0, end));
  return words.filter((_, i) => !ends.includes(moment.tokens[i])).join('');
}

/** A token by itself: what it is in quotes, or the bytes that it is part of a character with. */
export function nameOf({ texts, parts }: Timeline, token: number): string {
  const bytes = [...(parts.get(token) ?? [])];
  if (bytes.length === 0) return JSON.stringify(texts.get(token) ?? '');
  return `⟨${bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}⟩`;
}
