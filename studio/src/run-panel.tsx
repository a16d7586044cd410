/** What to run: the text, the policy, the numbers. */
import { Choice } from './choice.js';
import { roles, type Field, type Role } from './client.js';
import { catalogue, chosen, locked, numbers, preset, tab, tabNames, tabs, usual } from './form.js';
import { FillText, Text } from './fill.js';
import { atOnce } from './lane.js';
import { active } from './state.js';
import { canStep, compare, run, step, stop } from './runs.js';

function Tabs() {
  const keys = (event: KeyboardEvent) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    tab.value = tabs[(tabs.indexOf(tab.value) + move + tabs.length) % tabs.length];
    document.getElementById(`tab-${tab.value}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="What to write" onKeyDown={keys}>
      {tabs.map((name) => (
        <button
          key={name}
          id={`tab-${name}`}
          type="button"
          role="tab"
          aria-selected={tab.value === name}
          aria-controls="tab-panel"
          tabIndex={tab.value === name ? 0 : -1}
          onClick={() => (tab.value = name)}
        >
          {tabNames[name]}
        </button>
      ))}
    </div>
  );
}

function Option({ name, field, role }: { name: string; field: Field; role: Role }) {
  const policy = chosen.value[role]!;
  const value = policy.options[name] ?? field.default;
  const set = (next: number | boolean | string | undefined) => {
    const { [name]: _, ...others } = policy.options;
    const options =
      next === undefined || next === field.default ? others : { ...others, [name]: next };
    chosen.value = { ...chosen.value, [role]: { ...policy, options } };
  };
  const number = (text: string) => set(text === '' ? undefined : Number(text));
  if (field.enum) {
    const options = field.enum.map((one) => [one, one] as const);
    return (
      <Choice class="option" label={name} value={value as string} options={options} choose={set} />
    );
  }
  return (
    <label class="option" title={field.description}>
      <span>{name}</span>
      {field.type === 'boolean' ? (
        <input
          type="checkbox"
          checked={value as boolean}
          onChange={(event) => set(event.currentTarget.checked)}
        />
      ) : (
        <input
          type="number"
          min={field.minimum}
          max={field.maximum}
          step={field.type === 'integer' ? 1 : 'any'}
          placeholder={field.default === undefined ? 'auto' : String(field.default)}
          value={(policy.options[name] as number) ?? ''}
          onInput={(event) => number(event.currentTarget.value)}
        />
      )}
    </label>
  );
}

const roleNames: Record<Role, string> = { decode: 'Decoder', blocks: 'Blocks', cache: 'Cache' };

function Policy({ role }: { role: Role }) {
  const list = catalogue.value?.[role] ?? {};
  const policy = chosen.value[role];
  const fact = usual(role);
  const known = typeof fact === 'string' ? fact : (fact?.name ?? 'by the model');
  const choose = (name: string) => {
    const { [role]: _, ...others } = chosen.value;
    chosen.value = name === '' ? others : { ...others, [role]: { name, options: {} } };
  };
  return (
    <fieldset class="policy">
      <Choice
        class="option"
        label={roleNames[role]}
        name={role}
        value={policy?.name ?? ''}
        options={[
          ['', `(${known})`],
          ...Object.entries(list).map(
            ([name, { description }]) => [name, name, description] as const,
          ),
        ]}
        choose={choose}
      />
      {policy && <p class="hint">{list[policy.name]?.description}</p>}
      {policy &&
        Object.entries(list[policy.name]?.properties ?? {}).map(([name, field]) => (
          <Option key={`${policy.name}.${name}`} name={name} field={field} role={role} />
        ))}
    </fieldset>
  );
}

type NumberName = keyof typeof numbers.value;

function NumberField(props: {
  name: NumberName;
  label: string;
  min: number;
  max?: number;
  whole?: boolean;
  usual?: string;
}) {
  const value = numbers.value[props.name];
  return (
    <label class="option">
      <span>{props.label}</span>
      <input
        type="number"
        name={props.name}
        min={props.min}
        max={props.max}
        step={props.whole ? 1 : 'any'}
        placeholder={props.usual}
        value={value ?? ''}
        onInput={({ currentTarget: { value: text } }) =>
          (numbers.value = {
            ...numbers.value,
            [props.name]: text === '' ? undefined : Number(text),
          })
        }
      />
    </label>
  );
}

function Numbers() {
  const { defaults } = catalogue.value ?? {};
  const usual = String(defaults?.temperature ?? 0);
  return (
    <div class="numbers">
      <NumberField name="maxTokens" label="Tokens" min={1} max={8192} whole />
      <NumberField name="temperature" label="Temperature" min={0} max={2} usual={usual} />
      <NumberField name="topP" label="Top p" min={0} max={1} usual="1" />
      <NumberField name="topK" label="Top k" min={1} whole usual="all" />
      <NumberField name="seed" label="Seed" min={0} whole />
      <label class="option">
        <span>Keep seed</span>
        <input
          type="checkbox"
          checked={locked.value}
          onChange={(event) => (locked.value = event.currentTarget.checked)}
        />
      </label>
      <label class="option" title="Deliver the complete answer at once">
        <span>All at once</span>
        <input
          type="checkbox"
          name="atOnce"
          checked={atOnce.value}
          onChange={(event) => (atOnce.value = event.currentTarget.checked)}
        />
      </label>
    </div>
  );
}

function Words() {
  const which = tab.value;
  return (
    <div id="tab-panel" role="tabpanel" aria-labelledby={`tab-${which}`}>
      {which === 'complete' && <Text name="complete" label="Text to go on from" rows={6} />}
      {which === 'chat' && <Text name="chat" label="Message" rows={5} />}
      {which === 'chat' && <Text name="system" label="System" rows={2} />}
      {which === 'fill' && <FillText />}
      {which === 'json' && <Text name="json" label="Prompt" rows={3} />}
      {which === 'json' && <Text name="schema" label="JSON Schema" rows={10} />}
    </div>
  );
}

function Preset() {
  const { presets = {}, defaults } = catalogue.value ?? {};
  const usual = `(default${defaults?.preset ? `: ${defaults.preset}` : ''})`;
  return (
    <>
      <Choice
        class="option"
        label="Preset"
        name="preset"
        value={preset.value}
        options={[
          ['', usual],
          ...Object.entries(presets).map(([name, { about }]) => [name, name, about] as const),
        ]}
        choose={(name) => (preset.value = name)}
      />
      {preset.value && <p class="hint">{presets[preset.value]?.about}</p>}
    </>
  );
}

function Buttons() {
  const lane = active.value;
  const running = lane?.status.value === 'running';
  const proposal = lane?.proposal.value;
  return (
    <div class="buttons main">
      {running ? (
        <button type="button" class="primary" onClick={stop}>
          Stop <kbd>Esc</kbd>
        </button>
      ) : (
        <button class="primary">
          Run <kbd>Ctrl ↵</kbd>
        </button>
      )}
      <button type="button" disabled={running || !canStep()} onClick={() => void step()}>
        {proposal ? 'Apply' : 'Step'} <kbd>S</kbd>
      </button>
      <button type="button" disabled={running} onClick={() => void compare()}>
        + Lane
      </button>
    </div>
  );
}

export function RunPanel() {
  const proposal = active.value?.proposal.value;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void run();
      }}
    >
      <Tabs />
      <Words />
      <Preset />
      {roles.map((role) => (
        <Policy key={role} role={role} />
      ))}
      <Numbers />
      <Buttons />
      {proposal && (
        <p class="hint">
          Outlined: what the policy would commit, {proposal.wanted.size} tokens. Click one to leave
          it out, then apply.
        </p>
      )}
    </form>
  );
}
