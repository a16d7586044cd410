/** `lacuna replay`: draws a recorded generation again. */
import { setTimeout as wait } from 'node:timers/promises';
import { Command } from 'commander';
import { Replay, type Frame } from '../frames.js';
import { throwIfAborted } from '../generation.js';
import { parseTrace, type TraceFile } from '../trace-file.js';
import { maskText, type Pieces } from './canvas.js';
import { colourDepth, painter } from './colour.js';
import { interruptible } from './interrupt.js';
import { LiveView } from './live.js';
import { readText } from './files.js';
import { real } from './options.js';
import { Screen } from './screen.js';
import { summaryLine } from './show.js';
import { withNewline } from './run.js';

interface ReplayFlags {
  speed: number;
  live: boolean;
  color: boolean;
  quiet?: boolean;
}

export function replayCommand(): Command {
  return new Command('replay')
    .description(
      'Draws a generation that `lacuna run --trace FILE` recorded, at the pace at which it ran. ' +
        'Needs no model. In a pipe only the text is printed.',
    )
    .summary('draw a recorded generation again')
    .argument('<file>', 'JSON written by `lacuna run --trace`')
    .option('--speed <x>', 'so many times as fast', real(0.001), 1)
    .option('--no-live', 'do not draw, print the text')
    .option('--no-color', 'draw without colours (also: NO_COLOR)')
    .option('-q, --quiet', 'no summary on standard error')
    .action(replay);
}

async function replay(path: string, flags: ReplayFlags): Promise<void> {
  const trace = parseTrace(readText('replay', path));
  const { stdout, env } = process;
  const drawn = flags.live && stdout.isTTY && env.TERM !== 'dumb';
  if (drawn) await draw(trace, flags);
  else stdout.write(withNewline(trace.text));
  if (!flags.quiet) console.error((drawn ? '\n' : '') + summaryLine(trace));
}

async function draw(trace: TraceFile, { speed, color }: ReplayFlags): Promise<void> {
  const { stdout } = process;
  const screen = new Screen(stdout);
  const pieces = tracePieces(trace);
  const view = new LiveView({
    screen,
    terminal: stdout,
    paint: painter(colourDepth(stdout, color)),
    pieces,
    mask: trace.shape.mask,
    maskText: maskText(trace.prompt, pieces),
    before: new TextDecoder().decode(
      Buffer.concat(trace.prompt.filter((id) => !pieces.special(id)).map((id) => pieces.bytes(id))),
    ),
    maxTokens: trace.shape.maxTokens,
  });
  const length = trace.finishReason === 'steps' ? Infinity : trace.tokens.length;
  await interruptible(
    () => screen.close(),
    (signal) => view.watch(frames(trace, speed, signal), () => length),
  );
}

/** The frames, each when it came. Steps without a forward of their own come at once. */
export async function* frames(
  { prompt, shape, steps, timing }: TraceFile,
  speed: number,
  signal?: AbortSignal,
): AsyncGenerator<Frame> {
  const replay = new Replay({
    ...shape,
    ends: new Set(shape.ends),
    prompt: Int32Array.from(prompt),
    tokenizer: undefined,
  });
  // What the run spent outside forwards is spread over them.
  const stretch = timing.native > 0 ? timing.total / timing.native : 1;
  for (const step of steps) {
    const pause = ((step.timing?.total ?? 0) * stretch) / speed;
    if (pause > 0) {
      await wait(pause, undefined, { signal }).catch(() => throwIfAborted(signal!));
    }
    yield replay.frame(step);
  }
}

/** A token that the file does not name reads as nothing. */
export function tracePieces({ pieces, special }: TraceFile): Pieces {
  return {
    bytes: (id) => Buffer.from(pieces[id] ?? '', 'base64'),
    special: (id) => special[id],
  };
}
