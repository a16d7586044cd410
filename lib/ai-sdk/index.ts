/**
 * A language model for the AI SDK, in process.
 *
 * @module
 */
export { lacuna, type LacunaCallOptions, type LacunaSettings } from './model.js';
export { canvasToUI, type CanvasPart, type CanvasWriter } from './ui.js';
