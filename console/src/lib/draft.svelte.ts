// The draft: one text that all pages change, step by step, until it is applied. What is written where, and what is wrong
// with it, the gateway says; nothing is judged here.

import { Problem, get, post, type Edit, type Fault, type Standing } from './api';
import { session } from './session.svelte';

export type Written = Record<string, unknown>;

/** A text on the way, and what the gateway says of it. */
export interface Step {
  label: string;
  text: string;
  written: Written;
  valid: boolean;
  faults: Fault[];
}

interface Checked {
  valid: boolean;
  text: string;
  written: Written | null;
  diagnostics: Fault[];
}

/** Steps that are remembered. */
const MOST = 200;

const words = (problem: unknown) => (problem instanceof Problem ? problem.detail : String(problem));

class Draft {
  standing = $state.raw<Standing | null>(null);
  private base = $state.raw<Step | null>(null);
  private steps = $state.raw<Step[]>([]);
  private at = $state(0);
  trouble = $state('');
  /** Whether what would come of it is looked at. */
  reviewing = $state(false);
  private line: Promise<unknown> = Promise.resolve();

  get now(): Step | null {
    return this.at > 0 ? (this.steps[this.at - 1] ?? this.base) : this.base;
  }
  get dirty(): boolean {
    return this.now !== null && this.now.text !== this.standing?.text;
  }
  get count(): number {
    return this.at;
  }
  get undoable(): string {
    return this.at > 0 ? (this.steps[this.at - 1]?.label ?? '') : '';
  }
  get redoable(): string {
    return this.steps[this.at]?.label ?? '';
  }
  /** Whether somebody may change something here. */
  get open(): boolean {
    return session.may('admin') && this.standing !== null && !this.standing.readonly;
  }

  /** Reads what stands there. A draft stays as it is, unless it is to be given up. */
  async load(anew = false) {
    if (!session.may('operator')) return;
    try {
      const standing = await get<Standing>('/api/v1/config');
      if (!anew && this.dirty && standing.etag !== this.standing?.etag) return;
      if (standing.etag !== this.standing?.etag || anew) {
        const { text, written } = standing;
        this.base = { label: '', text, written: written ?? {}, valid: true, faults: [] };
        this.steps = [];
        this.at = 0;
        this.reviewing = false;
      }
      this.standing = standing;
      this.trouble = '';
    } catch (problem) {
      this.trouble = words(problem);
    }
  }

  /**
   * Changes nodes of the text; edits that depend on what stands there are asked for when it is their turn. Gives whether
   * that could be done; if not, `trouble` says why.
   */
  edit(label: string, edits: Edit[] | (() => Edit[])): Promise<boolean> {
    return this.next(label, () => ({ text: this.now?.text, edits: typeof edits === 'function' ? edits() : edits }), false);
  }

  /** Another text altogether, as somebody types it: what is typed in one go is one step. */
  type(text: string, label: string): Promise<boolean> {
    return this.next(label, () => ({ text }), true);
  }

  private next(label: string, ask: () => { text?: string; edits?: Edit[] }, together: boolean): Promise<boolean> {
    const run = async () => {
      try {
        const asked = ask();
        if (!asked.edits?.length && asked.text === this.now?.text) return true;
        const told = await post<Checked>('/api/v1/config/check', asked);
        if (told.text === this.now?.text) return true;
        const step = { label, text: told.text, written: told.written ?? this.now?.written ?? {}, valid: told.valid, faults: told.diagnostics };
        const kept = this.steps.slice(0, this.at);
        if (together && kept.at(-1)?.label === label) kept.pop();
        this.steps = [...kept, step].slice(-MOST);
        this.at = this.steps.length;
        this.trouble = '';
        return true;
      } catch (problem) {
        this.trouble = words(problem);
        return false;
      }
    };
    const done = this.line.then(run, run);
    this.line = done;
    return done;
  }

  /** Puts the draft on another ground: the text that stands there now. */
  async rebase(standing: Standing, text: string, label: string) {
    this.standing = standing;
    this.base = { label: '', text: standing.text, written: standing.written ?? {}, valid: true, faults: [] };
    this.steps = [];
    this.at = 0;
    this.reviewing = false;
    await this.type(text, label);
  }

  undo() {
    if (this.at > 0) this.at -= 1;
    this.trouble = '';
    this.reviewing = false;
  }
  redo() {
    if (this.at < this.steps.length) this.at += 1;
    this.trouble = '';
    this.reviewing = false;
  }
  /** Gives up what was changed; it can be had again by `redo` until something else is changed. */
  discard() {
    this.at = 0;
    this.trouble = '';
    this.reviewing = false;
  }

  /** What stands at a path of the draft. */
  read(path: string[]): unknown {
    return at(this.now?.written, path);
  }
}

/** What stands at a path. */
export function at(value: unknown, path: string[]): unknown {
  return path.reduce<unknown>((inner, key) => (typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>)[key] : undefined), value);
}

export const draft = new Draft();
