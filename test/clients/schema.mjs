// What the suites ask a model with random weights for.
import { z } from 'zod';

export const prompt = 'ROMEO:';

export const Scene = z.object({
  speaker: z.enum(['ROMEO', 'JULIET']),
  year: z.int().min(1500).max(1620),
  line: z.string().max(8),
});

export const Place = z.object({ city: z.enum(['Verona', 'Mantua']), days: z.int().min(1).max(9) });

/** The function `weather` as OpenAI's clients send it. */
export const weather = {
  name: 'weather',
  description: 'The weather of the next days',
  parameters: z.toJSONSchema(Place),
};
