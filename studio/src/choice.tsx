/** A select with its label. */
type Offered = readonly [value: string, text: string, about?: string];

export function Choice(props: {
  label: string;
  /** For screen readers only. */
  hidden?: boolean;
  class?: string;
  name?: string;
  value: string;
  options: readonly Offered[];
  choose(value: string): void;
}) {
  const { label, hidden, name, value, options, choose } = props;
  return (
    <label class={props.class ?? 'choice'}>
      <span class={hidden ? 'sr' : undefined}>{label}</span>
      <select name={name} value={value} onChange={(event) => choose(event.currentTarget.value)}>
        {options.map(([one, text, about]) => (
          <option key={one} value={one} title={about}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
