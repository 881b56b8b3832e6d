// The editor of the configuration as text: loaded only where it is shown. It lives in a shadow root, since there its styles
// are adopted sheets, which the policy of content allows; nothing inline is needed.

import { autocompletion, completionKeymap, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { bracketMatching, foldGutter, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { lintGutter, setDiagnostics } from '@codemirror/lint';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { Compartment, EditorState } from '@codemirror/state';
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { Fault } from './api';
import type { Language, Schema } from './schema';
import { told } from './schema';

const colours = EditorView.theme({
  '&': { height: '62vh', minHeight: '22rem', color: 'var(--text)', backgroundColor: 'var(--card)', fontSize: '13px' },
  '.cm-scroller': { fontFamily: "ui-monospace, 'DejaVu Sans Mono', monospace", lineHeight: '1.5' },
  '.cm-gutters': { backgroundColor: 'var(--card)', color: 'var(--muted)', borderRight: '1px solid var(--line)' },
  '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--ground) 60%, transparent)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { background: 'color-mix(in srgb, var(--accent) 28%, transparent) !important' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '1px' },
  '.cm-tooltip, .cm-panels': { backgroundColor: 'var(--card)', color: 'var(--text)', border: '1px solid var(--muted)' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { background: 'var(--accent)', color: 'var(--on-accent)' },
  '.cm-completionInfo': { maxWidth: '28rem' },
  // Their usual marks are images in the style, which the policy of content forbids.
  '.cm-lint-marker': { width: '1em', color: 'var(--bad)', fontWeight: '700', textAlign: 'center' },
  '.cm-lint-marker-error, .cm-lint-marker-warning': { content: 'normal' },
  '.cm-lint-marker-error:before': { content: '"!"' },
  '.cm-lint-marker-warning:before': { content: '"?"', color: 'var(--warn)' },
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--bad)' },
  '.cm-lintRange-warning': { backgroundImage: 'none', textDecoration: 'underline wavy var(--warn)' },
  '.cm-diagnostic': { whiteSpace: 'pre-wrap' },
  '.cm-textfield, .cm-button': { background: 'var(--ground)', color: 'var(--text)', border: '1px solid var(--muted)', backgroundImage: 'none' },
});

const marking = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--accent)' },
  { tag: [tags.string, tags.content, tags.attributeValue], color: 'var(--text)' },
  { tag: tags.comment, color: 'var(--muted)', fontStyle: 'italic' },
  { tag: [tags.keyword, tags.number, tags.bool, tags.labelName, tags.typeName], color: 'var(--second)' },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace], color: 'var(--muted)' },
]);

/** The keys that lead to the line of the cursor, by how far lines are moved in. */
export function keysAbove(lines: string[], line: number, indent: number): string[] {
  const path: string[] = [];
  let limit = indent;
  for (let nth = line - 1; nth >= 0 && limit > 0; nth--) {
    const text = lines[nth] ?? '';
    if (/^\s*(#|$)/.test(text)) continue;
    const own = text.search(/\S/);
    if (own >= limit) continue;
    const key = /^\s*(?:- )?["']?(.+?)["']?:(\s|$)/.exec(text)?.[1];
    if (key) path.unshift(key);
    limit = own;
  }
  return path;
}

/** What may stand below these keys. */
function below(language: Language, path: string[]): [string, Schema][] {
  let schemas: Schema[] = [language.root];
  const maps = (schema: Schema, depth = 0): Schema[] => {
    const whole = language.resolve(schema);
    const forms = whole.anyOf ?? whole.oneOf;
    return forms && depth < 4 ? forms.flatMap((form) => maps(form, depth + 1)) : whole.items ? maps(whole.items, depth + 1) : [whole];
  };
  for (const key of path) {
    schemas = schemas.flatMap((schema) =>
      maps(schema).flatMap((map) => {
        const field = map.properties?.[key];
        return field ? [field] : typeof map.additionalProperties === 'object' ? [map.additionalProperties] : [];
      }),
    );
  }
  return schemas.flatMap((schema) => maps(schema)).flatMap((map) => Object.entries(map.properties ?? {}));
}

function completing(language: () => Language | null) {
  return (context: CompletionContext): CompletionResult | null => {
    const known = language();
    const line = context.state.doc.lineAt(context.pos);
    const before = line.text.slice(0, context.pos - line.from);
    const word = /^(\s*(?:- )?)([\w-]*)$/.exec(before);
    if (!known || !word || (!word[2] && !context.explicit)) return null;
    const lines = context.state.doc.toString().split('\n');
    const found = below(known, keysAbove(lines, line.number - 1, (word[1] ?? '').length));
    const options = found.map(([name, schema]) => ({ label: name, apply: `${name}: `, info: told(known.resolve(schema).description).short, type: 'property' }));
    return { from: context.pos - (word[2] ?? '').length, options };
  };
}

export interface Editor {
  text(): string;
  /** Lets another text stand there, changing only what differs, so that the cursor stays. */
  become(text: string): void;
  faults(faults: Fault[]): void;
  locked(locked: boolean): void;
  go(line: number): void;
  end(): void;
}

export function open(host: HTMLElement, text: string, label: string, language: () => Language | null, changed: (text: string) => void): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
  const lock = new Compartment();
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        foldGutter(),
        lintGutter(),
        history(),
        drawSelection(),
        bracketMatching(),
        highlightActiveLine(),
        highlightSelectionMatches(),
        search({ top: true }),
        yaml(),
        syntaxHighlighting(marking),
        autocompletion({ override: [completing(language)], icons: false }),
        // Tab leaves the field: who has no mouse must get out again.
        keymap.of([...defaultKeymap, ...historyKeymap, ...searchKeymap, ...completionKeymap]),
        colours,
        lock.of(EditorState.readOnly.of(false)),
        EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false', tabindex: '0' }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) changed(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    text: () => view.state.doc.toString(),
    become(next) {
      const now = view.state.doc.toString();
      let from = 0;
      while (from < now.length && now[from] === next[from]) from++;
      let [left, right] = [now.length, next.length];
      while (left > from && right > from && now[left - 1] === next[right - 1]) [left, right] = [left - 1, right - 1];
      if (from < left || from < right) view.dispatch({ changes: { from, to: left, insert: next.slice(from, right) } });
    },
    faults(faults) {
      const diagnostics = faults.flatMap((fault) => {
        const place = fault.place;
        if (!place || place.line < 1 || place.line > view.state.doc.lines) return [];
        const line = view.state.doc.line(place.line);
        const from = Math.min(line.to, line.from + Math.max(0, place.column - 1));
        const to = Math.min(line.to, from + Math.max(1, place.length ?? 1));
        const severity = (fault.severity ?? fault.level) === 'warning' ? ('warning' as const) : ('error' as const);
        return [{ from, to: Math.max(from, to), severity, message: fault.help ? `${fault.message}\n${fault.help}` : fault.message, source: fault.code }];
      });
      view.dispatch(setDiagnostics(view.state, diagnostics));
    },
    locked: (locked) => view.dispatch({ effects: lock.reconfigure(EditorState.readOnly.of(locked)) }),
    go(line) {
      if (line < 1 || line > view.state.doc.lines) return;
      const at = view.state.doc.line(line);
      view.dispatch({ selection: { anchor: at.from, head: at.to }, effects: EditorView.scrollIntoView(at.from, { y: 'center' }) });
      view.focus();
    },
    end: () => view.destroy(),
  };
}
