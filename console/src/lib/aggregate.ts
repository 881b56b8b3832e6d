// What the board knows of aggregates: their calls as rows, the edits that change one thing of them, and what comes out.

import type { Edit } from './api';
import { isMap } from './values';

export type Rule = 'required' | 'optional' | 'default';

/** One call: what is asked for, and what becomes of the whole without it. */
export interface Call {
  name: string;
  method: string;
  service: string;
  path: string;
  rule: Rule;
  /** What stands in its place when it fails, as JSON. */
  instead: unknown;
  after: string[];
  /** The calls whose answers it uses. */
  uses: string[];
  value: unknown;
}

export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** Where the calls of an aggregate stand: its long form has them under `parts`. */
export const callsPath = (path: string[], value: unknown) => (isMap(value) && isMap(value.parts) ? [...path, 'parts'] : path);

const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : value === undefined || value === null ? [] : [String(value)]);

/** `POST search /find` in its three words. */
export function asked(from: string): { method: string; service: string; path: string } {
  const words = from.trim().split(/\s+/);
  const [method, service, path] = words.length > 2 ? words : ['GET', ...words];
  return { method: method ?? 'GET', service: service ?? '', path: path ?? '' };
}
export const asking = (method: string, service: string, path: string) => [...(method === 'GET' ? [] : [method]), service, path].join(' ');

/** Every text in a value. */
function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(texts) : [];
}

function uses(value: unknown, name: string): boolean {
  const each = isMap(value) && typeof value.for_each === 'string' ? value.for_each.replace(/^\{|\}$/g, '') : '';
  return each === name || each.startsWith(`${name}.`) || texts(value).some((text) => text.includes(`{${name}.`));
}

/** The calls of an aggregate, in the order of the file. */
export function calls(value: unknown): Call[] {
  const parts = isMap(value) && isMap(value.parts) ? value.parts : value;
  if (!isMap(parts)) return [];
  const names = Object.keys(parts);
  return Object.entries(parts).map(([name, part]) => {
    const long = isMap(part) ? part : { from: part };
    return {
      name,
      ...asked(typeof long.from === 'string' ? long.from : ''),
      rule: 'default' in long ? 'default' : long.optional === true ? 'optional' : 'required',
      instead: long.default,
      after: list(long.after),
      uses: names.filter((other) => other !== name && uses(part, other)),
      value: part,
    };
  });
}

/** Another value for one key of a call; a call that says nothing but what it asks for is written short. */
export function change(path: string[], call: Call, key: string, value: unknown): Edit[] {
  const own = [...path, call.name];
  if (!isMap(call.value)) {
    if (value === undefined) return [];
    return [{ op: 'set', path: own, value: key === 'from' ? value : { from: call.value, [key]: value } }];
  }
  if (value !== undefined) return [{ op: 'set', path: [...own, key], value }];
  if (!(key in call.value)) return [];
  const { [key]: _, ...rest } = call.value;
  return 'from' in rest && Object.keys(rest).length === 1 ? [{ op: 'set', path: own, value: rest.from }] : [{ op: 'remove', path: [...own, key] }];
}

/** What becomes of the whole when a call fails. */
export function ruled(path: string[], call: Call, rule: Rule): Edit[] {
  if (rule === call.rule) return [];
  const { optional: _, default: __, ...rest } = isMap(call.value) ? call.value : { from: call.value };
  const next = rule === 'required' ? rest : { ...rest, ...(rule === 'optional' ? { optional: true } : { default: null }) };
  const short = Object.keys(next).length === 1 && 'from' in next;
  return [{ op: 'set', path: [...path, call.name], value: short ? next.from : next }];
}

/** Another name for a call, wherever others speak of it. */
export function renamed(path: string[], value: unknown, from: string, to: string): Edit[] {
  const word = (text: string) => text.replaceAll(`{${from}.`, `{${to}.`);
  const deep = (inner: unknown): unknown => {
    if (typeof inner === 'string') return word(inner);
    if (Array.isArray(inner)) return inner.map(deep);
    return isMap(inner) ? Object.fromEntries(Object.entries(inner).map(([key, one]) => [key, deep(one)])) : inner;
  };
  const own = callsPath(path, value);
  const edits: Edit[] = [{ op: 'rename', path: [...own, from], to }];
  for (const call of calls(value)) {
    const next = deep(call.value);
    if (isMap(next)) {
      if (call.after.includes(from)) next.after = call.after.map((name) => (name === from ? to : name));
      if (typeof next.for_each === 'string') next.for_each = next.for_each.replace(new RegExp(`^(\\{?)${from}(?=[.}]|$)`), `$1${to}`);
    }
    const name = call.name === from ? to : call.name;
    if (JSON.stringify(next) !== JSON.stringify(call.value)) edits.push({ op: 'set', path: [...own, name], value: next });
  }
  if (isMap(value) && isMap(value.parts) && value.template !== undefined) {
    const next = deep(value.template);
    if (JSON.stringify(next) !== JSON.stringify(value.template)) edits.push({ op: 'set', path: [...path, 'template'], value: next });
  }
  return edits;
}

/** Puts a call so many places further down. */
export function moved(path: string[], all: Call[], name: string, steps: number): Edit[] {
  const names = all.map((call) => call.name);
  const at = names.indexOf(name);
  const to = Math.max(0, Math.min(names.length - 1, at + steps));
  if (at < 0 || to === at) return [];
  names.splice(at, 1);
  const before = names[to];
  return [{ op: 'move', path: [...path, name], ...(before === undefined ? {} : { before }) }];
}

/** A name that no call has. */
export function fresh(all: Call[], wanted: string): string {
  const base = wanted.replace(/[^A-Za-z0-9_-]/g, '_') || 'call';
  let name = base;
  for (let nth = 2; all.some((call) => call.name === name); nth++) name = `${base}_${nth}`;
  return name;
}

/** An aggregate that asks what a route asked before. */
export function begin(route: string, own: unknown, services: string[]): Record<string, string> {
  const to = isMap(own) && typeof own.to === 'string' ? own.to : (services[0] ?? 'service');
  const path = /\/\S*/.exec(route)?.[0].replace(/\*.*$/, '').replace(/\{(\w+)\*?\}/g, '{path.$1}') || '/';
  return { [fresh([], services.includes(to) ? to : 'call')]: `${to} ${path}` };
}

/** What comes out: a line of JSON, and in words what is particular about it. */
export interface Line {
  text: string;
  /** The call that the line is of. */
  of: string;
  note: '' | 'optional' | 'default' | 'flat';
}

const last = (keys: string) => keys.split('.').at(-1) ?? keys;

/** The value of one call. */
function held(call: Call): string {
  const long = isMap(call.value) ? call.value : {};
  const select = long.select;
  const one = Array.isArray(select) ? `{ ${select.map((keys) => `${JSON.stringify(last(String(keys)))}: …`).join(', ')} }` : typeof select === 'string' ? '…' : '{ … }';
  return 'for_each' in long ? `[ ${one}, … ]` : one;
}

/** The answer of an aggregate in its shape. */
export function merged(value: unknown): Line[] {
  const plain = (text: string): Line => ({ text, of: '', note: '' });
  if (isMap(value) && isMap(value.parts) && value.template !== undefined) return JSON.stringify(value.template, null, 2).split('\n').map(plain);
  const all = calls(value);
  const lines = all.map((call, nth): Line => {
    const comma = nth < all.length - 1 ? ',' : '';
    if (isMap(call.value) && call.value.flatten === true) return { text: `  …${comma}`, of: call.name, note: 'flat' };
    return { text: `  ${JSON.stringify(call.name)}: ${held(call)}${comma}`, of: call.name, note: call.rule === 'required' ? '' : call.rule };
  });
  return [plain('{'), ...lines, plain('}')];
}
