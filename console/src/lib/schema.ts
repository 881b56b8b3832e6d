// The schema of the configuration, as the gateway serves it, made ready for forms: what a value is, in few kinds.

import { get } from './api';
import { isMap } from './values';

export { isMap } from './values';

export interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  $ref?: string;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  description?: string;
  pattern?: string;
  required?: string[];
  examples?: unknown[];
  definitions?: Record<string, Schema>;
}

/** What a value is. */
export type Shape =
  | { kind: 'text' }
  | { kind: 'number' }
  | { kind: 'truth' }
  | { kind: 'choice'; words: { word: string; about: string }[] }
  | { kind: 'list'; items: Schema; alone: boolean }
  | { kind: 'map'; fields: [string, Schema][]; required: string[] }
  | { kind: 'table'; values: Schema }
  | { kind: 'forms'; forms: Schema[] }
  | { kind: 'anything' };

let asked: Promise<Language> | null = null;

/** The language of the configuration. */
export class Language {
  constructor(readonly root: Schema) {}

  /** The policies in the order of running, each with the schema of its settings. */
  get policies(): [string, Schema][] {
    return Object.entries(this.definition('Bundle').properties ?? {});
  }

  definition(name: string): Schema {
    return this.root.definitions?.[name] ?? {};
  }

  /** With references followed; what is said at the place of use wins. */
  resolve(schema: Schema, depth = 0): Schema {
    let found = schema;
    if (depth > 16) return found;
    if (found.$ref) {
      const { $ref, ...own } = found;
      found = { ...this.resolve(this.definition($ref.split('/').pop() ?? ''), depth + 1), ...own };
    }
    const inner = found.allOf?.length === 1 ? found.allOf[0] : undefined;
    if (inner) {
      const { allOf: _, ...own } = found;
      found = { ...this.resolve(inner, depth + 1), ...own };
    }
    return found;
  }

  shape(schema: Schema): Shape {
    const whole = this.resolve(schema);
    const all = (whole.anyOf ?? whole.oneOf)?.map((one) => this.resolve(one));
    if (all) return this.forms(all.filter((one) => one.type !== 'null' && one.pattern !== '\\$\\{'));
    if (whole.enum) return { kind: 'choice', words: whole.enum.map((word) => ({ word: String(word), about: '' })) };
    if (whole.const !== undefined) return { kind: 'choice', words: [{ word: String(whole.const), about: '' }] };
    const type = Array.isArray(whole.type) ? whole.type.find((one) => one !== 'null') : whole.type;
    if (whole.properties) return { kind: 'map', fields: Object.entries(whole.properties), required: whole.required ?? [] };
    if (type === 'object') {
      return { kind: 'table', values: typeof whole.additionalProperties === 'object' ? whole.additionalProperties : {} };
    }
    if (type === 'array') return { kind: 'list', items: whole.items ?? {}, alone: false };
    if (type === 'integer' || type === 'number') return { kind: 'number' };
    if (type === 'boolean') return { kind: 'truth' };
    return type === 'string' ? { kind: 'text' } : { kind: 'anything' };
  }

  private forms(forms: Schema[]): Shape {
    const [first, second] = forms;
    if (!first) return { kind: 'anything' };
    if (!second) return this.shape(first);
    if (forms.every((one) => one.const !== undefined || one.enum)) {
      const words = forms.flatMap((one) => (one.enum ?? [one.const]).map((word) => ({ word: String(word), about: one.description ?? '' })));
      return { kind: 'choice', words };
    }
    const kinds = forms.map((one) => this.shape(one));
    // One thing or a list of the same: a list whose only item may stand alone.
    const list = kinds.find((kind) => kind.kind === 'list');
    if (forms.length === 2 && list?.kind === 'list' && kinds.some((kind) => kind.kind === this.shape(list.items).kind)) {
      return { ...list, alone: true };
    }
    if (kinds.every((kind) => kind.kind === 'text' || kind.kind === 'number')) return { kind: 'text' };
    return { kind: 'forms', forms };
  }

  /** Which of several forms a value has; the first where there is none. */
  form(forms: Schema[], value: unknown): number {
    const found = forms.findIndex((form) => value !== undefined && this.fits(this.shape(form), value));
    return Math.max(0, found);
  }

  private fits(shape: Shape, value: unknown): boolean {
    switch (shape.kind) {
      case 'map':
        return isMap(value) && shape.required.every((name) => name in value) && Object.keys(value).every((name) => shape.fields.some(([own]) => own === name));
      case 'table':
        return isMap(value);
      case 'list':
        return Array.isArray(value) || (shape.alone && !isMap(value));
      case 'truth':
        return typeof value === 'boolean';
      case 'number':
        return typeof value === 'number';
      case 'choice':
        return shape.words.some(({ word }) => word === String(value));
      case 'forms':
        return shape.forms.some((form) => this.fits(this.shape(form), value));
      case 'text':
        return typeof value === 'string' || typeof value === 'number';
      default:
        return true;
    }
  }

  /** A value to begin with. */
  start(schema: Schema, depth = 0): unknown {
    const whole = this.resolve(schema);
    const shape = this.shape(schema);
    if (whole.default !== undefined && whole.default !== null && shape.kind !== 'map') return whole.default;
    const example = whole.examples?.[0];
    if (example !== undefined) return example;
    switch (shape.kind) {
      case 'truth':
        return true;
      case 'number':
        return 1;
      case 'choice':
        return shape.words[0]?.word ?? '';
      case 'list':
        return depth > 4 ? [] : [this.start(shape.items, depth + 1)];
      case 'map':
        return Object.fromEntries(shape.fields.filter(([name]) => shape.required.includes(name)).map(([name, field]) => [name, depth > 4 ? '' : this.start(field, depth + 1)]));
      case 'table':
        return {};
      case 'forms':
        return this.start(shape.forms[0] ?? {}, depth + 1);
      default:
        return '';
    }
  }
}

/** Asked for once. */
export function language(): Promise<Language> {
  asked ??= get<Schema>('/tidegate.schema.json').then((root) => new Language(root));
  asked.catch(() => (asked = null));
  return asked;
}

/** The first sentence of a description, and the rest, without examples in YAML. */
export function told(description: string | undefined): { short: string; rest: string } {
  const text = (description ?? '').replace(/```[\s\S]*?```/g, '').trim();
  // The first end of a sentence that does not stand in code.
  let at = 0;
  for (const found of text.matchAll(/[.:](?=\s|$)/g)) {
    if ((text.slice(0, found.index).match(/`/g)?.length ?? 0) % 2) continue;
    at = found.index + 1;
    break;
  }
  if (at === 0) return { short: text, rest: '' };
  return { short: text.slice(0, at).replace(/:$/, '.'), rest: text.slice(at).trim() };
}
