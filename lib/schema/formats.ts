/** Formats of strings as patterns that hold nothing but valid texts; some valid ones they lack. */
import { languageOf, type Language } from './language.js';

const octet = '(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const date =
  '\\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))';
const time = '([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)';
const label = '[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?';
/** What ends in a number would be an address. */
const host = `(${label}\\.){1,3}[a-z]{2,10}`;
const hex = '[0-9a-f]';

/** Made when it is first asked for. */
export function formatLanguage(format: string): Language {
  let language = languages.get(format);
  if (language === undefined) languages.set(format, (language = languageOf(formats[format])));
  return language;
}

const languages = new Map<string, Language>();

export const formats: Readonly<Record<string, string>> = {
  date: `^${date}$`,
  time: `^${time}$`,
  'date-time': `^${date}T${time}$`,
  duration: '^P(\\d{1,3}D|\\d{1,3}W|\\d{1,2}M|T\\d{1,3}[HMS])$',
  email: `^[a-z0-9_+-]+(\\.[a-z0-9_+-]+)*@${host}$`,
  hostname: `^${host}$`,
  ipv4: `^${octet}\\.${octet}\\.${octet}\\.${octet}$`,
  ipv6: `^(${hex}{1,4}:){7}${hex}{1,4}$`,
  uuid: `^${hex}{8}-${hex}{4}-[1-8]${hex}{3}-[89ab]${hex}{3}-${hex}{12}$`,
  uri: `^https?://${host}(/[A-Za-z0-9_.~-]+)*/?$`,
};
