/**
 * An OpenAI-compatible server for a loaded model.
 *
 * @module
 */
export { createHandler, type Handler, type HandlerOptions } from './handler.js';
export { listen, type Listening, type ListenOptions } from './listen.js';
export { defaultLimits, limitsOf, type Limits } from './limits.js';
export type { Engine, Slot } from './engine.js';
export type { GuardOptions } from './guard.js';
