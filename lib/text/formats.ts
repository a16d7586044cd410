/**
 * Chat formats of models whose files may come without a template, as Jinja templates.
 */
export interface ChatFormat {
  /** `general.architecture` of the files that use it. */
  architectures: readonly string[];
  template: string;
  /** Special tokens that the vocabulary must have; a base model without them cannot chat. */
  needs: readonly string[];
}

const noTools = String.raw`{% for message in messages %}{% if message.role == 'tool' %}{{
  raise_exception('this format has no tool messages; set the option chatTemplate') }}{% endif %}{% endfor %}`;

// The reference templates of LLaDA and Llama 3 cut white space around each message.
const llada = String.raw`{{ bos_token }}{% for message in messages %}{{
  '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + message.content | trim + '<|eot_id|>'
}}{% endfor %}{% if add_generation_prompt %}{{
  '<|start_header_id|>assistant<|end_header_id|>\n\n'
}}{% endif %}`;

// The system turn always ends in this line: it turns Ling's long reasoning off.
const ling = String.raw`{{ '<role>SYSTEM</role>' }}{% if messages[0].role == 'system' %}{{
  messages[0].content + '\n' }}{% endif %}{{ 'detailed thinking off<|role_end|>'
}}{% for message in messages %}{% if not (loop.first and message.role == 'system') %}{{
  '<role>' + ('HUMAN' if message.role == 'user' else message.role | upper) + '</role>'
  + message.content + '<|role_end|>'
}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<role>ASSISTANT</role>' }}{% endif %}`;

const chatMl = String.raw`{% for message in messages %}{{
  '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n'
}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`;

const defaultSystem = String.raw`{% if messages[0].role != 'system' %}{{
  '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}`;

export const chatFormats: readonly ChatFormat[] = [
  {
    // GSAI-ML/LLaDA-8B-Instruct
    architectures: ['llada'],
    template: noTools + llada,
    needs: ['<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'],
  },
  {
    // inclusionAI/LLaDA-MoE-7B-A1B-Instruct
    architectures: ['llada-moe'],
    template: noTools + ling,
    needs: ['<|role_end|>'],
  },
  {
    // Dream-org/Dream-v0-Instruct-7B: ChatML of its base, Qwen2.5-7B
    architectures: ['dream'],
    template: noTools + defaultSystem + chatMl,
    needs: ['<|im_start|>', '<|im_end|>'],
  },
  {
    // radicalnumerics/RND1 and other models made from Qwen
    architectures: ['rnd1', 'qwen2', 'qwen3', 'qwen3moe'],
    template: noTools + chatMl,
    needs: ['<|im_start|>', '<|im_end|>'],
  },
];

/** For models without a format: what is said is what stands before the answer. */
export const plainTemplate = String.raw`{{ bos_token }}{% for message in messages %}{{ message.content }}

{% endfor %}`;
