/** Numbers, tables and values as people read them. */
import { sanitise, truncate, width } from './glyphs.js';

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
const countUnits = ['', ' K', ' M', ' B', ' T'];

/** `7.48 MiB` */
export function bytes(count: number): string {
  return scaled(count, 1024, byteUnits, ' ');
}

/** `7.34 M` */
export function count(value: number): string {
  return scaled(value, 1000, countUnits, '');
}

function scaled(value: number, base: number, units: string[], gap: string): string {
  let unit = 0;
  let rest = value;
  // Compared after rounding, so that 1023.9 KiB becomes 1.00 MiB and not 1024 KiB.
  while (unit < units.length - 1 && Math.round(rest) >= base) {
    rest /= base;
    unit++;
  }
  const digits = unit === 0 ? String(Math.round(rest)) : digits3(rest);
  return `${digits}${gap}${units[unit]}`;
}

/** Three significant digits without an exponent: `0.0123`, `1.23`, `12.3`, `1234`. */
export function digits3(value: number): string {
  const rounded = Number(value.toPrecision(3)); // 0.9999 counts as 1.00
  if (rounded === 0) return '0';
  const decimals = 2 - Math.floor(Math.log10(Math.abs(rounded)));
  return value.toFixed(Math.min(Math.max(0, decimals), 6));
}

/** `340 ms`, `1.23 s`, `2 min 05 s` */
export function duration(milliseconds: number): string {
  if (milliseconds < 999.5) return `${digits3(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 99.95) return `${digits3(seconds)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}

/** `1 token`, `2 tokens` */
export function plural(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? '' : 's'}`;
}

/** Columns joined by two spaces; columns whose header starts with `>` are set to the right. */
export function table(header: string[], rows: string[][]): string {
  const right = header.map((title) => title.startsWith('>'));
  const all = [header.map((title) => title.replace(/^>/, '')), ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => width(row[column] ?? ''))));
  const pad = (text: string, column: number): string => {
    const space = ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(text)));
    return right[column] ? space + text : text + space;
  };
  return all.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

/** A Markdown table with aligned columns, the first to the left: it reads in a terminal and goes into a page. */
export function markdownTable(header: readonly string[], rows: readonly string[][]): string {
  const widths = header.map((name, i) =>
    Math.max(width(name), 3, ...rows.map((row) => width(row[i]))),
  );
  const line = (cells: readonly string[]) => {
    const padded = cells.map((cell, i) => {
      const space = ' '.repeat(widths[i] - width(cell));
      return i === 0 ? cell + space : space + cell;
    });
    return `| ${padded.join(' | ')} |`;
  };
  const rule = widths.map((n, i) => (i === 0 ? '-'.repeat(n) : `${'-'.repeat(n - 1)}:`));
  return [line(header), line(rule), ...rows.map(line)].join('\n');
}

/** `name  value` lines, the values one below the other. */
export function fields(pairs: [name: string, value: string][]): string {
  const longest = Math.max(...pairs.map(([name]) => width(name)));
  return pairs
    .map(([name, value]) => `${name}${' '.repeat(longest - width(name))}  ${value}`.trimEnd())
    .join('\n');
}

/** A metadata string on one line: quoted like JSON, controls visible, at most `cells` wide. */
export function quoted(text: string, cells: number): string {
  return truncate(JSON.stringify(text), cells);
}

/** An error message in one line, safe for a terminal. */
export function oneLine(message: string): string {
  return sanitise(message).replace(/\s*\n\s*/g, ' ');
}

/** The middle one, or the mean of the middle two. */
export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const high = sorted[sorted.length >> 1] ?? NaN;
  const low = sorted[(sorted.length - 1) >> 1] ?? NaN;
  return (low + high) / 2;
}
