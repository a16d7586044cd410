// What the suites know of the server that they talk to.

/** Resolves when nothing runs there any more. */
export async function idle({ url }) {
  const response = await fetch(`${url}/test/idle`);
  if (!response.ok) throw new Error(await response.text());
}

/** Ends all streams with the error `server_shutdown`. */
export const stopStreams = ({ url }) => fetch(`${url}/test/stop`);

/** How a chat is asked for: the prompt, the length and the seed of a case. */
export const asked = ({ prompt, seed, maxTokens }) => ({
  messages: [{ role: 'user', content: prompt }],
  max_tokens: maxTokens,
  seed,
});

/** The canvas of an answer, from the frames that came beside it. */
export function fold(frames) {
  const canvas = [];
  for (const { commits = [], edits = [], kind, text } of frames) {
    if (kind === 'keyframe') canvas.splice(0, canvas.length, ...text);
    for (const [at, , token] of [...commits, ...edits]) canvas[at] = token;
  }
  return canvas.join('');
}
