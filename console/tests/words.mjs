// Whether every sentence of the console stands in the dictionary of each language.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = join(dirname(fileURLToPath(import.meta.url)), '../src');
const files = readdirSync(source, { recursive: true }).filter((name) => /\.(svelte|ts)$/.test(name));

/** Sentences that the dictionary lacks, and entries that nobody says. */
export function missing() {
  const text = files.filter((name) => !name.endsWith('chinese.ts')).map((name) => readFileSync(join(source, name), 'utf8')).join('\n');
  const dictionary = readFileSync(join(source, 'lib/chinese.ts'), 'utf8');
  const known = new Set([...dictionary.matchAll(/^ {2}(?:'((?:[^'\\]|\\.)*)'|(\w+)):/gm)].map((found) => (found[1] ?? found[2]).replaceAll("\\'", "'")));
  const said = new Set([...text.matchAll(/\bt\(\s*'((?:[^'\\]|\\.)*)'/g)].map((found) => found[1].replaceAll("\\'", "'")));
  // What is said by way of a list: names of pages, lanes, templates and the like.
  for (const found of text.matchAll(/(?:name|title|about): '((?:[^'\\]|\\.)*)'/g)) if (/^[A-Z]/.test(found[1])) said.add(found[1].replaceAll("\\'", "'"));
  return { sentences: said.size, lacking: [...said].filter((sentence) => !known.has(sentence)) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { sentences, lacking } = missing();
  console.log(`${sentences} sentences, ${lacking.length} without a translation${lacking.map((one) => `\n  ${one}`).join('')}`);
  process.exitCode = lacking.length ? 1 : 0;
}
