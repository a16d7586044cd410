/**
 * How text is cut into words before byte-pair encoding, by the name that GGUF files give it
 * (`tokenizer.ggml.pre`). The file holds only the name; the rule is that of the tokenizer.json of
 * the model it stands for. Names and their grouping are those of llama.cpp, which writes the files.
 */
export interface PreTokenizer {
  /** Names of this rule in `tokenizer.ggml.pre`. */
  names: readonly string[];
  /** A word, in the Oniguruma syntax of tokenizer.json; text between two matches is a word too. */
  pattern: string;
  /** Text is brought to Unicode normal form C first. */
  nfc: boolean;
  /** A word that is a token as it stands is taken whole, without merging. */
  wholeWords: boolean;
  /** Texts start with the begin-of-text token where the file does not say (`add_bos_token`). */
  addBos: boolean;
}

export const preTokenizers: readonly PreTokenizer[] = [
  {
    // GPT-2 and models trained with its splitting, such as the one in models/.
    names: ['gpt-2'],
    pattern: String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
    nfc: false,
    wholeWords: false,
    addBos: false,
  },
  {
    // Llama 3, and what was made from it.
    names: ['llama-bpe', 'llama3', 'llama-v3'],
    pattern: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    nfc: false,
    wholeWords: true,
    addBos: true,
  },
  {
    // Qwen 1.5 to 3: Dream, DiffuCoder, RND1, SDAR, Fast-dLLM v2.
    names: ['qwen2', 'deepseek-r1-qwen'],
    pattern: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    nfc: true,
    wholeWords: false,
    addBos: false,
  },
  {
    // Ling (Bailing) and the models with its vocabulary: LLaDA-8B, LLaDA-MoE, LLaDA 2.
    names: ['llada-moe', 'bailingmoe', 'bailingmoe2'],
    pattern: String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`,
    nfc: false,
    wholeWords: false,
    addBos: false,
  },
];

export const preTokenizerNames: readonly string[] = preTokenizers.flatMap((rule) => rule.names);
