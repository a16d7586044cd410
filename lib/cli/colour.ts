/** Colours of a terminal, from none to 24 bits. */
import type { Ink } from './layout.js';

/** Bits of colour, as `tty.WriteStream.getColorDepth()` counts them; 1: none. */
export type ColourDepth = 1 | 4 | 8 | 24;

export type Paint = (text: string, ink: Ink) => string;

type Rgb = [red: number, green: number, blue: number];

// Confidence 0, ½, 1. Middling lightness, readable on dark and on light backgrounds.
const ramp: [Rgb, Rgb, Rgb] = [
  [224, 82, 82],
  [214, 168, 40],
  [74, 176, 98],
];

/** A function that wraps text in the escape codes of its ink; with depth 1 it changes nothing. */
export function painter(depth: ColourDepth): Paint {
  if (depth === 1) return (text) => text;
  return (text, ink) => {
    if (ink === 'plain' || text === '') return text;
    return `\x1b[${code(ink, depth)}m${text}\x1b[0m`;
  };
}

/**
 * How much colour a stream takes. Node's own rules: COLORTERM, TERM, NO_COLOR, FORCE_COLOR.
 * @param wanted false: `--no-color`
 */
export function colourDepth(stream: NodeJS.WriteStream, wanted: boolean): ColourDepth {
  if (!wanted || !stream.isTTY || process.env.NO_COLOR) return 1;
  return stream.getColorDepth() as ColourDepth;
}

function code(ink: Exclude<Ink, 'plain'>, depth: ColourDepth): string {
  if (ink === 'dim' || ink === 'mask') return '2';
  if (ink === 'fresh') return '1;97';
  if (depth === 4) return ink < 1 / 3 ? '31' : ink < 2 / 3 ? '33' : '32';
  const [red, green, blue] = confidenceColour(ink);
  if (depth === 24) return `38;2;${red};${green};${blue}`;
  const level = (value: number): number => Math.round((value / 255) * 5);
  return `38;5;${16 + 36 * level(red) + 6 * level(green) + level(blue)}`;
}

/** Red at 0, yellow at ½, green at 1, linear between. */
export function confidenceColour(confidence: number): Rgb {
  const at = Math.min(1, Math.max(0, confidence)) * 2;
  const [from, to] = at < 1 ? [ramp[0], ramp[1]] : [ramp[1], ramp[2]];
  const part = at < 1 ? at : at - 1;
  return from.map((value, i) => Math.round(value + part * (to[i] - value))) as Rgb;
}
