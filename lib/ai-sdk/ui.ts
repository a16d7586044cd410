/** The canvas on its way to a page. */

/** What reaches the page: one frame of the canvas, not kept in the message. */
export interface CanvasPart {
  type: 'data-lacuna';
  /** As docs/server.md describes: `kind` is `'start'`, `'step'`, `'keyframe'` or `'end'`. */
  data: { v: 1; kind: string; [field: string]: unknown };
  transient: true;
}

/** What is used of the writer of `createUIMessageStream`. */
export interface CanvasWriter {
  write(part: CanvasPart): void;
}

/**
 * For `onChunk` of `streamText`: sends frames of the canvas to `useChat`, where `onData` gets them.
 * `toUIMessageStream` leaves raw chunks out, so without this they end on the server. Works for
 * `lacuna()` and, over HTTP, for `createOpenAICompatible`; both need `includeRawChunks: true`.
 *
 * @param writer of `createUIMessageStream`
 */
export function canvasToUI(
  writer: CanvasWriter,
): (event: { chunk: { type: string; rawValue?: unknown } }) => void {
  return ({ chunk }) => {
    if (chunk.type !== 'raw') return;
    const { lacuna } = (chunk.rawValue ?? {}) as { lacuna?: CanvasPart['data'] };
    if (lacuna !== undefined) writer.write({ type: 'data-lacuna', data: lacuna, transient: true });
  };
}
