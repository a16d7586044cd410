/**
 * The byte-level alphabet of GPT-2: every byte has a printable character, so that token pieces are
 * strings without spaces. Bytes that print in Latin-1 stand for themselves; the other 68 take the
 * characters from U+0100 on, in order. Source: openai/gpt-2, encoder.py.
 */
const charOfByte: string[] = []; // (256)
const byteOfCode = new Int16Array(0x100 + 68).fill(-1); // character code -> byte

function prints(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
}

for (let byte = 0, next = 0x100; byte < 256; byte++) {
  const code = prints(byte) ? byte : next++;
  charOfByte.push(String.fromCharCode(code));
  byteOfCode[code] = byte;
}

/** The character that stands for a byte. */
export function byteChar(byte: number): string {
  return charOfByte[byte];
}

/** Text as a token piece: one character per byte of its UTF-8 form. */
export function toPiece(text: string): string {
  let piece = '';
  for (const byte of new TextEncoder().encode(text)) piece += charOfByte[byte];
  return piece;
}

/** The bytes of a token piece; a piece with characters outside the alphabet is plain text. */
export function pieceBytes(piece: string): Uint8Array {
  const bytes = new Uint8Array(piece.length);
  for (let i = 0; i < piece.length; i++) {
    const byte = byteOfCode[piece.charCodeAt(i)] ?? -1;
    if (byte < 0) return new TextEncoder().encode(piece);
    bytes[i] = byte;
  }
  return bytes;
}
